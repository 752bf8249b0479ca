# SPDX-License-Identifier: Apache-2.0
"""One network: its layers in order, as a torch module, an integer graph and an ONNX file."""
