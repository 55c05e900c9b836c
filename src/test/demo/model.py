"""model.py fit TRAINING_CSV MODEL: fit a model of dep_delay on the rows whose
split is "train" and show its error on those of "test".
model.py predict MODEL: read feature vectors, one JSON object a line, and add
"predicted_delay" to each.

Beats the mean of the training rows, or exits with status 1.
"""
import csv
import json
import pickle
import sys

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

KEYS = {"carrier", "flight", "tailnum", "origin", "dest", "sched_dep"}
LABEL = "dep_delay"
SAMPLE = 60000  # rows to fit, to keep the demonstration short


def number(value):
    return float("nan") if value in (None, "") else float(value)


def mean_error(predicted, actual):
    return float(np.mean(np.abs(predicted - actual))), float(np.sqrt(np.mean((predicted - actual) ** 2)))


def fit(path, out):
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[LABEL] != ""]
    features = [name for name in rows[0] if name not in KEYS | {LABEL, "split"}]
    x = np.array([[number(row[name]) for name in features] for row in rows])
    y = np.array([float(row[LABEL]) for row in rows])
    train = np.array([row["split"] == "train" for row in rows])
    model = HistGradientBoostingRegressor(max_iter=60, learning_rate=0.15, random_state=1)
    sample = np.flatnonzero(train)[:: max(1, train.sum() // SAMPLE)]
    model.fit(x[sample], y[sample])
    plain = mean_error(np.full((~train).sum(), y[train].mean()), y[~train])
    fitted = mean_error(model.predict(x[~train]), y[~train])
    print(f"{train.sum()} training rows, {(~train).sum()} test rows, {len(features)} features")
    print("error on the test rows, minutes:     mean absolute   root mean square")
    print(f"  without features (the mean delay)        {plain[0]:6.2f}             {plain[1]:6.2f}")
    print(f"  with the feature view                    {fitted[0]:6.2f}             {fitted[1]:6.2f}")
    with open(out, "wb") as file:
        pickle.dump((features, model), file)
    return 0 if fitted[0] < plain[0] and fitted[1] < plain[1] else 1


def predict(path):
    with open(path, "rb") as file:
        features, model = pickle.load(file)
    for line in sys.stdin:
        vector = json.loads(line)
        x = np.array([[number(vector[name]) for name in features]])
        vector["predicted_delay"] = round(float(model.predict(x)[0]), 1)
        print(json.dumps(vector))
    return 0


if __name__ == "__main__":
    sys.exit(fit(*sys.argv[2:]) if sys.argv[1] == "fit" else predict(*sys.argv[2:]))
