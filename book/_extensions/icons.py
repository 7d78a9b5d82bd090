"""A Sphinx extension that leaves of the theme's icon script only the icons that the book uses: 1.5 MB become 80 kB."""

import re
from pathlib import Path

#: Icons that the theme's own scripts put into a page.
FROM_SCRIPTS = {"xmark"}
#: One icon in the script: its name, then width, height, other names, code and outline.
ICON = re.compile(r'"?([\w-]+)"?:\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\["[^"]*","[^"]*"\])\],?')

FONT = re.compile(r"@font-face\{[^}]*/webfonts/fa-[^}]*\}")


def keep(script, wanted):
    """Return the text of the icon script with only the ``wanted`` names; the program around the icons stays as it is."""

    def own(match):
        return match[0] if wanted & {match[1], *re.findall(r'"([\w-]+)"', match[2])} else ""

    return ICON.sub(own, script)


def trim(app, exception):
    """Rewrite the script of a finished HTML build with the icons that its pages name."""
    if exception or app.builder.name != "html":
        return
    pages = Path(app.outdir).rglob("*.html")
    wanted = {name for page in pages for name in re.findall(r"\bfa-([a-z0-9-]+)", page.read_text(encoding="utf-8"))}
    script = Path(app.outdir) / "_static" / "scripts" / "fontawesome.js"
    text = keep(script.read_text(encoding="utf-8"), wanted | FROM_SCRIPTS)
    script.write_text(re.sub(r"\n//# sourceMappingURL=.*", "\n", text), encoding="utf-8")
    script.with_name("fontawesome.js.map").unlink(missing_ok=True)
    for sheet in script.parent.with_name("styles").glob("*.css"):  # the fonts of the same icons, which are then never needed
        sheet.write_text(FONT.sub("", sheet.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app):
    """Register the step after the build."""
    app.connect("build-finished", trim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
