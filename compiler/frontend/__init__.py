# SPDX-License-Identifier: Apache-2.0
"""Model files to the integer graph.

    model.onnx (QDQ, QOperator) --onnx/--+
                                         +--> Relax --relax_calls.py--> calls --importer.py--> Graph
    model.tflite (int8) -------tflite/---+

A float model is quantized first, with samples of its inputs (compiler/quantize).

TVM imports the file; everything it leaves as real arithmetic between dequantize and quantize is
turned into integers by rules. What has no integer form is listed in one InputError; it becomes a
float operator only with ``allow_float``.

    load             load_model: a path to a graph
    onnx, tflite     readers: checks, the format's own forms, TVM
    relax_calls      what TVM made, as a list of calls
    importer         the pass over the calls; asks rules
    rules            one file an operator: how its calls become values, what it is in the files
    imported_values  what a call stands for until it is an int8 tensor
    graph_builder    the graph so far
"""
