"""What is asked: the models, what is read out of them, and the checks of arguments. Knows no method."""
