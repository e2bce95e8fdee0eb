"""Texts that one of the little languages on their way reads: formulas, markup, formats, tables, pages, shells."""

NASTY = (
    "US$ a_$", "5 $_$", "_negative", "a[/b]", ":smile:", "<b>&amp;</script>", "=1+1", "盲🙂", "a%s%d{x}", "\\frac{a",
    "`x`|y", "é'\"" + "w" * 30, "#", "$\\bad$", "__", "@x", "[bold]z", "a^b_c",
)  # fmt: skip
