"""What a reader meets on a page in Chromium: gathered in one visit for each page, width and colour scheme."""

from axe_playwright_python.base import AXE_SCRIPT

#: Rules of axe that depend on colours. All others look at the document and its layout.
COLOUR_RULES = ["color-contrast", "link-in-text-block"]

#: Marks where contrast is measured. A page of code holds thousands of words in a few colours, and measuring each takes most of
#: axe's time. Contrast follows from a text's own look and from what lies behind it, so of all visible texts that agree in both,
#: up through every element around them, three are enough (three, because one may be scrolled out of its box).
MARK_SAMPLES = """() => {
  const looks = new Map([[document.documentElement, 'html']]), seen = new Map();
  const look = element => {
    if (!looks.has(element)) {
      const s = getComputedStyle(element);
      const own = [s.color, s.backgroundColor, s.backgroundImage, s.opacity, s.filter, s.fontSize, s.fontWeight,
        s.textDecorationLine];
      looks.set(element, `${look(element.parentElement)} > ${element.tagName}.${element.className} ${own}`);
    }
    return looks.get(element);
  };
  for (const element of document.body.querySelectorAll('*')) {
    const ownText = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!ownText || !element.checkVisibility({visibilityProperty: true})) { continue; }
    const count = (seen.get(look(element)) ?? 0) + 1;
    seen.set(look(element), count);
    if (count <= 3) { element.dataset.sample = ''; }
  }
}"""

MEASURE = """async () => {
  const images = [...document.querySelectorAll('img')];
  for (const image of images) { image.loading = 'eager'; }
  await Promise.allSettled(images.map(image => image.decode()));
  const width = document.documentElement.clientWidth;
  const controls = 'article :is(button, summary, input, a[href], [role=button], .toggle-button)';
  return {
    theme: document.documentElement.dataset.theme,
    overflow: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - width,
    wide: [...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > width + 1)
      .slice(0, 5).map(e => `${e.tagName}.${e.className}`.slice(0, 80)),
    unloaded: images.filter(image => image.naturalWidth === 0).map(image => image.src),
    seeThrough: [...document.querySelectorAll('div.cell_output img')]
      .filter(image => getComputedStyle(image).backgroundColor !== 'rgb(255, 255, 255)').map(image => image.src),
    dimmed: images.filter(image => getComputedStyle(image).filter !== 'none').map(image => image.src),
    outOfReach: [...document.querySelectorAll(controls)]
      .filter(e => e.tabIndex < 0 && e.offsetParent !== null).map(e => e.outerHTML.slice(0, 120)),
    text: document.querySelector('article')?.innerText.trim().length ?? 0,
  };
}"""

OPEN_SOLUTIONS = """() => {
  const visible = () => [...document.querySelectorAll('div.solution .highlight pre')]
    .filter(e => e.checkVisibility({visibilityProperty: true})).length;
  const before = visible();
  for (const button of document.querySelectorAll('div.solution button.toggle-button')) { button.click(); }
  const width = document.documentElement.clientWidth;
  return {
    before,
    open: visible(),
    overflow: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - width,
    wide: [...document.querySelectorAll('div.exercise *, div.solution *')]
      .filter(e => e.getBoundingClientRect().right > width + 1).slice(0, 5).map(e => `${e.tagName}.${e.className}`.slice(0, 80)),
  };
}"""


def visit(context, address, page):
    """Open a page in a browser's context and return what is found there, by name; solutions are opened last."""
    complaints, outside = [], []
    tab = context.new_page()
    try:
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("requestfailed", lambda request: complaints.append(f"{request.url}: {request.failure}"))
        tab.on("request", lambda request: outside.append(request.url) if not _ours(request.url, address) else None)
        tab.goto(address + page, wait_until="load", timeout=90_000)
        found = tab.evaluate(MEASURE)
        found["barriers"] = serious_barriers(tab)
        found["solutions"] = tab.evaluate(OPEN_SOLUTIONS)
    finally:
        tab.close()
    return found | {"complaints": complaints, "outside": outside}


def _ours(url, address):
    return url.startswith((address, "data:", "blob:"))


def serious_barriers(tab):
    """Return what axe finds on a page that would keep somebody from reading or using it.

    In the dark only colours are looked at: document and layout are those of the light page of the same width.
    """
    tab.evaluate(AXE_SCRIPT)
    tab.evaluate(MARK_SAMPLES)
    found = _axe(tab, {"include": [["[data-sample]"]]}, {"runOnly": COLOUR_RULES})
    if tab.evaluate("document.documentElement.dataset.theme") != "dark":
        found += _axe(tab, None, {"rules": {rule: {"enabled": False} for rule in COLOUR_RULES}})
    return [
        f"{rule['id']}: {node['html'][:120]} {[check['message'] for check in node['any']]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def _axe(tab, context, options):
    run = "([context, options]) => axe.run(context ?? document, options).then(found => found.violations)"
    return tab.evaluate(run, [context, options | {"resultTypes": ["violations"], "preload": False}])
