"""What is installed on a fresh cluster, made from the manifests that come with the built modules."""
