"""Where a finding begins, and whose rule it is.

OpenAI's advice is the frame, but it names no threshold. Those here are our choice: large enough
that noise seldom makes a finding (tests count how often).
"""

_OPENAI = "OpenAI, fine-tuning guide, {} (read 2026-11-24)"
OPENAI_SETTINGS = _OPENAI.format("Iterating on hyperparameters")
OPENAI_COUNT = _OPENAI.format("Right number of examples")
OURS = "our choice"

FEWEST_POINTS = 10  # two windows of five medians
FEWEST_SCORES = 3  # validation scores: a best one, one before and one after
FEW_EXAMPLES = 50  # OpenAI: start with 50 well-made examples, improvements from 50 to 100 on
SURE = 3.0  # standard errors that a difference must have: one false alarm in 700
LIKELY = 2.0  # where being wrong costs one epoch more: one in 40
LOWEST_OF_TEN = 4.0  # the same from the lowest of ten levels, which lies low by chance already
NOTHING = 0.05  # a fall of less than 5 % is nothing learned
LITTLE = 0.20  # one of less than 20 % is slow
STILL = 0.10  # the last quarter brought 10 % of the whole fall: it was not over
TRIFLE = 0.02  # and 2 % of the loss before it
KNOWN = 0.1  # nats per token: below this there is nothing left to learn
WORSE = 0.05  # validation loss 5 % above its best
GAP = 1.5  # validation loss this many times the training loss
SPIKE = 3.0  # times its neighbours, and eight standard deviations of their logarithms
