"""Thirty nights of a feed: what HR sends, what goes wrong, and the books that say what must be there after each of them."""
