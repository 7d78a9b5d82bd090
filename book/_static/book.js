// What scrolls sideways can be scrolled with the keyboard too: it becomes a stop of the Tab key, as long as it is too wide.
const mark = () => {
  for (const box of document.querySelectorAll(".cell_output .output, .bd-content figure, div.math")) {
    if (box.scrollWidth > box.clientWidth) { box.tabIndex = 0; } else { box.removeAttribute("tabindex"); }
  }
};
window.addEventListener("load", mark);
window.addEventListener("resize", mark);
