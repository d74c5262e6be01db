"""The evidence plane: entries, Merkle tree, checkpoints, receipts and the verifier that needs none of the rest."""
