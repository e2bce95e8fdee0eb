"""How examples, dots and animations are drawn, in every figure alike."""
