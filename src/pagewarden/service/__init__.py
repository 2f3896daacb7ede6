"""The service's units where no package of the distribution brings them."""
