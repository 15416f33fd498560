"""Mistral: the job contract of a compatible gateway, and the models that were tuned before."""
