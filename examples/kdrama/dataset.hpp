// The data of the experiments as they are used: splits, parts of them, batches as tensors.
#pragma once

#include <algorithm>
#include <cstdio>

#include "kdrama/options.hpp"
#include "kfer/data/augment.hpp"
#include "kfer/data/kdrama.hpp"
#include "kfer/data/loader.hpp"
#include "kfer/data/prefetch.hpp"
#include "kfer/kfer.hpp"

namespace kdrama {

using namespace kfer;
using Dataset = data::KdramaDataset;

/// Opens a split. Damaged records that are skipped are told on standard error.
inline Dataset open(const DataOptions& options, const data::LabelSet& set, data::Split split) {
  require<UsageError>(!options.data_path.empty(),
                      "--data-path is missing: the directory with tfrecords/ and label/");
  data::KdramaOptions o;
  o.partition = options.split == "by-clip" ? data::Partition::by_clip : data::Partition::published;
  o.on_corrupt = options.on_corrupt == "skip" ? data::OnCorrupt::skip : data::OnCorrupt::fail;
  Dataset dataset(options.data_path, set, split, o);
  if (dataset.skipped())
    std::fprintf(stderr, "%s: %lld damaged records skipped, the first: %s\n",
                 std::string(data::name_of(split)).c_str(), static_cast<long long>(dataset.skipped()),
                 dataset.problems().front().c_str());
  return dataset;
}

/// Some consecutive rows of a data set.
class Part {
 public:
  Part(const Dataset& all, std::int64_t begin, std::int64_t end) : all_(&all), begin_(begin), end_(end) {}
  std::int64_t size() const { return end_ - begin_; }
  int image_height() const { return all_->image_height(); }
  int image_width() const { return all_->image_width(); }
  std::int64_t classes() const { return all_->classes(); }
  auto labels(std::int64_t i) const { return all_->labels(begin_ + i); }
  void load(std::int64_t i, std::span<std::uint8_t> hwc) const { all_->load(begin_ + i, hwc); }

 private:
  const Dataset* all_;
  std::int64_t begin_, end_;
};
using Loader = data::Loader<Part>;

/// The rows of `train` that are trained on.
inline Part used_part(const Dataset& train, const DataOptions& options) {
  return {train, 0, options.limit > 0 ? std::min(options.limit, train.size()) : train.size()};
}

inline data::LoaderOptions loading(const DataOptions& options, std::int64_t batch_size, std::uint64_t seed,
                                   bool train) {
  return {.batch_size = batch_size,
          .workers = options.workers,
          .shuffle = train,
          .drop_last = train,
          .seed = seed,
          .transform = train ? data::augmentation(options.augment) : data::Augmentation()};
}

template <class D>
Tensor<float, D> images_of(const data::Batch& batch, const Part& data) {
  return {{batch.size, 3, data.image_height(), data.image_width()}, std::span<const float>(batch.images)};
}
template <class D>
Tensor<float, D> labels_of(const data::Batch& batch, const Part& data) {
  return {{batch.size, data.classes()}, std::span<const float>(batch.labels)};
}

/// Applies the device's options; the device in words.
template <class D>
std::string set_up(const DeviceOptions& options) {
  if constexpr (requires { D::math(); }) {
    D::math().strict_fp32 = options.strict_fp32;
    return D::description();
  } else {
    return text("CPU, ", num_threads(), " threads");
  }
}

/// Calls `body.operator()<T>()` with the type of the activations.
template <class D, class Body>
auto with_activations(const DeviceOptions& options, Body&& body) {
  if (!options.amp) return body.template operator()<float>();
  if constexpr (std::is_same_v<D, Cpu>)
    throw UsageError(amp_on_cpu);
  else
    return body.template operator()<bfloat16>();
}

}  // namespace kdrama
