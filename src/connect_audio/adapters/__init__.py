"""The ports' implementations over AWS. boto3 lives here and in the composition roots alone."""
