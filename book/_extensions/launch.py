"""Buttons that open a notebook elsewhere, from one setting: ``repository: url`` in ``_config.yml``. Without it there are none.

The theme knows Binder and Colab; Codespaces is added here. All of them also need the repository to be public.
"""

BINDER = "https://mybinder.org"
COLAB = "https://colab.research.google.com"
CODESPACES = "https://codespaces.new"


def theme_options(options):
    """Return the theme's options with buttons for the repository and for launching, if it has an address.

    Parameters
    ----------
    options : dict
        ``html_theme_options``.
    """
    address = (options.get("repository_url") or "").rstrip("/")
    if not address:
        return {key: value for key, value in options.items() if key != "launch_buttons"}
    launch = options.get("launch_buttons", {}) | {"binderhub_url": BINDER, "colab_url": COLAB}
    shown = dict.fromkeys(("use_repository_button", "use_issues_button", "use_edit_page_button"), True)
    return options | shown | {"repository_url": address, "launch_buttons": launch}


def codespaces_url(options):
    """Return the address that opens the repository in GitHub Codespaces, or None where there is none."""
    address = options.get("repository_url") or ""
    if not address.startswith("https://github.com/"):
        return None
    branch = options.get("repository_branch") or "main"
    return f"{CODESPACES}/{address.removeprefix('https://github.com/')}/tree/{branch}"


def set_options(app, config):
    """Set the theme's options before the theme reads them."""
    config.html_theme_options = theme_options(config.html_theme_options)


def add_codespaces(app, pagename, templatename, context, doctree):
    """Add the third button to the theme's group of launch buttons."""
    url = codespaces_url(app.config.html_theme_options)
    for group in context.get("header_buttons", []):
        if url and group.get("label") == "launch-buttons":
            button = {
                "type": "link",
                "text": "Codespaces",
                "tooltip": "Launch on Codespaces",
                "icon": "fab fa-github",
                "url": url,
            }
            group["buttons"].append(button)


def setup(app):
    """Register with Sphinx: options early, the button after the theme's own."""
    app.connect("config-inited", set_options, priority=100)
    app.connect("html-page-context", add_codespaces, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
