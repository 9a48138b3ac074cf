#!/usr/bin/env bash
# The whole life of nano in three commands: train it from nothing, talk to it, measure it.
#
#   runs/nano.sh                                   hours on two cores; into out/nano, as make nano does
#   runs/nano.sh recipes/nano/smoke out/tiny 1     the same with tiny networks; continuous integration runs this form
#
# Arguments: folder of recipes, folder for everything that is made, cases a row of the evaluation. A second call goes on
# where the first one stopped: what stands already is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
recipes=${1:-recipes/nano} out=${2:-out} cases=${3:-100}
nextgpt=${NEXTGPT:-.venv/bin/nextgpt}  # make install puts it there

# 1. The trainings in the order of their names: autoencoders, diffusion models, language model, encoder, and the three
#    alignments of the paper. What each does is told in docs/training.md.
for recipe in "$recipes"/*.yaml; do
  name=$(basename "$recipe" .yaml)
  $nextgpt train "$recipe" model="$out/nano" work="$out/nano-work/${name#*-}"
done

# 2. One turn, whose media are written beside the answer.
$nextgpt chat "$out/nano" --once "Draw a red cat on grass and play a flute." --out "$out/nano-turn" --json

# 3. Every row of the small world's suite, on combinations that no training has seen.
$nextgpt eval "$out/nano" --limit "$cases" --out "$out/nano-eval"
