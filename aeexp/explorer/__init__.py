"""One page in which a code is moved by hand: what runs give, and the networks that the page computes itself."""
