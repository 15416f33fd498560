"""How what a job made comes home: named safely, checked, resumed, whole or not at all."""
