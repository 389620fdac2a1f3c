#!/usr/bin/env python3
"""Writes multilabel.csv, multiclass.csv and expected.csv: random scores and what scikit-learn 1.9 says of them."""
import pathlib
import warnings

import numpy as np
from sklearn import metrics

warnings.filterwarnings("ignore")
here = pathlib.Path(__file__).resolve().parent
random = np.random.RandomState(7)
expected = []


def save(name, scores, labels):
    columns = [f"s{i}" for i in range(scores.shape[1])] + [f"y{i}" for i in range(labels.shape[1])]
    lines = [",".join([*(f"{v:.4f}" for v in s), *map(str, y)]) for s, y in zip(scores, labels)]
    (here / name).write_text("\n".join([",".join(columns), *lines]) + "\n")


# 37 rows of 7 labels; label 5 never occurs, label 6 neither occurs nor is predicted at 0.5, scores lie on a grid that
# hits the thresholds exactly.
labels = (random.rand(37, 7) < [0.5, 0.3, 0.2, 0.4, 0.1, 0, 0]).astype(int)
scores = np.round(np.clip(0.45 * labels + random.rand(37, 7) * 0.7, 0, 1), 1)
scores[:, 6] *= 0.4
scores = scores.round(4)
save("multilabel.csv", scores, labels)
for t in (0.1, 0.2, 0.3, 0.4, 0.5):
    predicted = (scores.astype("f4") >= np.float32(t)).astype(int)
    expected.append((f"exact_match@{t}", metrics.accuracy_score(labels, predicted)))
    expected.append((f"micro_f1@{t}", metrics.f1_score(labels, predicted, average="micro", zero_division=0)))
    expected.append((f"macro_f1@{t}", metrics.f1_score(labels, predicted, average="macro", zero_division=0)))
    per = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "support"), per):
        expected += [(f"{name}@{t}/{c}", v) for c, v in enumerate(values)]
expected.append(("argmax_accuracy", np.mean(scores.argmax(1) == labels.argmax(1))))

# Of labels that occur: the curve from the highest score on, without the point (recall 0, precision 1) that scikit-learn
# adds to it.
for name, s, y in [*((str(c), scores[:, c], labels[:, c]) for c in range(5)), ("micro", scores.ravel(), labels.ravel())]:
    expected.append((f"average_precision/{name}", metrics.average_precision_score(y, s)))
    precision, recall, thresholds = metrics.precision_recall_curve(y, s)
    for i, point in enumerate(zip(thresholds[::-1], precision[-2::-1], recall[-2::-1])):
        expected += [(f"curve/{name}/{i}/{k}", v) for k, v in zip(("threshold", "precision", "recall"), point)]
expected += [(f"together/{i}/{j}", n) for (i, j), n in np.ndenumerate(labels.T @ labels)]

# 41 rows of 5 classes; class 4 never occurs but is predicted.
truth = random.randint(0, 4, 41)
scores = (np.eye(5)[truth] * 0.5 + random.rand(41, 5)).round(4)
save("multiclass.csv", scores, np.eye(5, dtype=int)[truth])
predicted = scores.argmax(1)
expected.append(("accuracy", metrics.accuracy_score(truth, predicted)))
expected.append(("balanced_accuracy", metrics.balanced_accuracy_score(truth, predicted)))
matrix = metrics.confusion_matrix(truth, predicted, labels=range(5))
expected += [(f"confusion/{i}/{j}", matrix[i, j]) for i in range(5) for j in range(5)]
(here / "expected.csv").write_text("name,value\n" + "".join(f"{k},{float(v)!r}\n" for k, v in expected))
