"""A tuned model in the forms that other programs take, each compared before it is kept."""
