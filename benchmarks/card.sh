#!/bin/bash
# All that needs a CUDA card, the most valuable first, in about 40 minutes. What is done is not done again: a step that
# was stopped begins anew, or goes on where it can, when this is run once more.
#
#     SADDLE_DATA=DIR bash benchmarks/card.sh [FOLDER]        (FOLDER: for the results, benchmarks/results/card)
set -u
cd "$(dirname "$0")/.."
out=${1:-benchmarks/results/card}
mkdir -p "$out"
python=${PYTHON:-python}

step() { # name, seconds at most, command...
    local name=$1 most=$2
    shift 2
    if [ -e "$out/$name.done" ]; then
        echo "== $name: done before"
        return
    fi
    echo "== $name: $*"
    if timeout "$most" "$@" >"$out/$name.txt" 2>&1; then
        touch "$out/$name.done"
    else
        echo "== $name: exit $?"
    fi
    tail -n 12 "$out/$name.txt"
}

nvidia-smi >"$out/card.txt" 2>&1
# What the tests prove on a processor, on the card: graphs equal eager rounds, runs resume, precisions.
step tests 420 "$python" -m pytest -q -W default -m "slow or not slow" tests/training tests/networks tests/game \
    -k "cuda or device or gpu"
step time-to-quality 300 "$python" benchmarks/quality.py mnist --seeds 3 --device cuda \
    --folder "$out/quality" --json "$out/quality.json"
step training 300 "$python" benchmarks/training.py mlp-tanh dcgan mlp-dropout --device cuda --seconds 10 --laps 3 \
    --precision float32 auto --json "$out/training.json"
step mlp-tanh-whole 120 "$python" -m saddle train mlp-tanh --device cuda --out "$out/mlp-tanh" --set precision=auto
step roofline 120 "$python" benchmarks/roofline.py --device cuda --precision float32 tf32 bfloat16 --laps 3 \
    --json "$out/roofline.json"
step population 240 "$python" benchmarks/population.py --members 16,64 --json "$out/population.json"
step scaling 120 "$python" benchmarks/scaling.py mnist --device cuda --json "$out/scaling.json"
step sampling 120 "$python" benchmarks/sampling.py --device cuda --count 200000 --json "$out/sampling.json"
# The published tables at their own lengths, as far as the time goes; each goes on where it was stopped.
for table in tutorials stacked-mnist goodfellow2014 mirza2014; do
    step "table-$table" 600 "$python" -m saddle reproduce "$table" --out "$out/tables/$table"
done
