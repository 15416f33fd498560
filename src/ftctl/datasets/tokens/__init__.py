"""How many tokens texts and examples have for a model, counted without asking anybody."""
