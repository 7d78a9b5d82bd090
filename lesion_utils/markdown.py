"""Tables of the pages that are written: Markdown that no name of a class can break."""


def markdown_table(frame):
    """Return a table as Markdown; names of classes come from a user's table, so signs with a meaning are escaped."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    signs = str.maketrans({"\\": "\\\\", "|": "\\|", "<": "&lt;", "`": "'", "*": "\\*", "$": "\\$"})
    return "\n".join("| " + " | ".join(str(cell).translate(signs) for cell in line) + " |" for line in lines)
