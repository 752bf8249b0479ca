# SPDX-License-Identifier: Apache-2.0
"""The front of a search with shared weights: what each millisecond, byte and point costs.

folds      shared networks, one trained on the training part of each fold
evaluate   a network's int8 score under them, on what each fold holds out
evolve     NSGA-II over networks, exact costs beside scores
climb      local search below each budget
select     the best few by full trainings, one chosen
"""
