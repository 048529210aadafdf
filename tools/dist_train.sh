#!/usr/bin/env bash
# Train on several GPUs (or CPU processes): tools/dist_train.sh CONFIG NUM_PROCESSES [OPTIONS]
# Several machines: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
# MAX_RESTARTS=N and --resume: when a process dies, all go on from the last checkpoint, up to N times.
set -euo pipefail
config=${1:?usage: tools/dist_train.sh CONFIG NUM_PROCESSES [OPTIONS of tools/train.py]}
processes=${2:?usage: tools/dist_train.sh CONFIG NUM_PROCESSES [OPTIONS of tools/train.py]}
nodes=${NNODES:-1}
node=${NODE_RANK:-0}
if [ "${MAX_RESTARTS:-0}" = 0 ]; then
    meeting=(--node_rank "$node" --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-29500}")
else  # torch restarts all machines by c10d alone, and waits for dead processes in a shared store
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    meeting=(--max_restarts "$MAX_RESTARTS" --rdzv_backend c10d
        --rdzv_endpoint "${MASTER_ADDR:-127.0.0.1}:${PORT:-29500}"
        --rdzv_conf "is_host=$((node == 0)),read_timeout=900")
    if [ "$nodes" = 1 ]; then meeting+=(--local_addr 127.0.0.1); fi
fi
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes "$nodes" --nproc_per_node "$processes" "${meeting[@]}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
