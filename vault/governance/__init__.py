"""What officers decide together: policy bundles under two signatures, and access in an emergency."""
