"""The configuration that `raygenex init` writes."""

STARTER = """\
# A raygenex run. Every key is optional but data.train and data.valid. `raygenex config show FILE` prints all keys with
# their defaults, `raygenex config schema` their meaning. ${NAME} and ${NAME:-default} stand for environment variables.
name: first            # the run's folder is OUTPUT/NAME
output: runs           # embeddings, checkpoints, figures and the local MLflow database go here
seed: 0

data:                  # HDF5 with gene_id (N), halflife (N, 8), promoter (N, L, 4) one-hot ACGT, label (N) 0/1
  train: data/train.h5 # paths, globs, lists of them, or URLs such as s3://bucket/train-*.h5
  valid: data/valid.h5 # chooses the epoch and the decision threshold
  test: data/test.h5   # read only by `raygenex evaluate --split test`
  # window: 2000       # keep this many bases around the centre

backbone:
  kind: onehot         # the CNN reads bases; `hyenadna` embeds them first with `raygenex embed`
  # kind: hyenadna
  # weights: LongSafari/hyenadna-small-32k-seqlen-hf
  # revision: 8fe770c78eb13fe33bf81501612faeddf4d6f331

model:
  kind: cnn_halflife_encoded   # or cnn_halflife_raw, cnn_dna_only, cnn_halflife_only, lstm, xgboost_kmer, ...
  dropout: 0.5

train:
  epochs: 50
  global_batch_size: 32
  learning_rate: 1.0e-4
  patience: 10
  workers: 1           # DDP workers
"""
