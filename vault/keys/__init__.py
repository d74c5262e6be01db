"""Every key of the vault: root provider, page key tree, keystore file, and the one service that uses them.

Root key (provider) -> top page -> page keys -> leaf (one per subject and category) -> data key of one value. Leaves
are pre-drawn and live in their own database, so that a keystore backup stays valid for people enrolled after it, and
erasing a leaf later means re-drawing a few pages and forgetting one root.
"""
