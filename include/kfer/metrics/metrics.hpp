// All metrics. They work on plain spans, row by row, so they neither know tensors nor hold state.
#pragma once

#include "kfer/metrics/accuracy.hpp"
#include "kfer/metrics/baseline.hpp"
#include "kfer/metrics/confusion.hpp"
#include "kfer/metrics/cooccurrence.hpp"
#include "kfer/metrics/f1.hpp"
#include "kfer/metrics/precision_recall.hpp"
