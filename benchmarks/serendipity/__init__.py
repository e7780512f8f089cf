"""What leading users to interests they have not met gives, measured."""
