"""For tests of parts: `check_part` holds one against all that its group promises, as aeexp's own are held."""

from aeexp.testing.part import check_part

__all__ = ["check_part"]
