"""Of the theme's icons only the wanted ones are kept, and the program around them."""

import icons

SCRIPT = (
    '(()=>{var a={"circle-user":[512,512,[62142,"user-circle"],"f2bd","M1"],bars:[448,512,["navicon"],"f0c9","M2z"],'
    'house:[576,512,[],"f015",["M3","M4"]]},z={search:[512,512,[128269],"f002","M5"]};run(a,z,[1,2,[3],"x"])})();'
)


def test_wanted_icons_stay_by_any_of_their_names():
    kept = icons.keep(SCRIPT, {"bars", "user-circle"})
    assert '"circle-user":[512,512,[62142,"user-circle"],"f2bd","M1"],bars:[448' in kept
    assert "house" not in kept and "M5" not in kept


def test_program_is_left_as_it_is():
    assert icons.keep(SCRIPT, {"circle-user", "bars", "house", "search"}) == SCRIPT
    assert icons.keep(SCRIPT, set()) == '(()=>{var a={},z={};run(a,z,[1,2,[3],"x"])})();'
