#!/usr/bin/env bash
# Train nano from random weights, run one turn of a chat, and evaluate.
#
#   runs/nano.sh                                   into out/nano, as make nano does; takes hours on two cores
#   runs/nano.sh recipes/nano/smoke out/tiny 1     the same with tiny networks, as the tests run it
#
# Arguments: folder of recipes, output folder, cases per row of the evaluation. A second call resumes where the first
# one stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
recipes=${1:-recipes/nano} out=${2:-out} cases=${3:-100}
nextgpt=${NEXTGPT:-.venv/bin/nextgpt}  # installed by make install

# 1. The recipes in the order of their names: autoencoders, diffusion models, language model, encoder, projections with
#    the three stages of the paper, decoders, text tower. docs/training.md describes each.
for recipe in "$recipes"/*.yaml; do
  name=$(basename "$recipe" .yaml)
  $nextgpt train "$recipe" model="$out/nano" work="$out/nano-work/${name#*-}"
done

# 2. One turn; its media are written to the output folder.
$nextgpt chat "$out/nano" --once "Draw a red cat on grass and play a flute." --out "$out/nano-turn" --json

# 3. The small world's suite, on combinations that no training has seen.
$nextgpt eval "$out/nano" --limit "$cases" --out "$out/nano-eval"
