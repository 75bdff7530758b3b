"""The matrices of a problem as symmetric operators: what the linear algebra is run on."""
