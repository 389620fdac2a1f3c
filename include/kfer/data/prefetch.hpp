// Batches on the device, each copied there while the step before it runs.
//
//   Loader loader(dataset, {.batch_size = 64, .workers = 4});
//   Prefetcher<decltype(loader), D> batches(loader, {3, 64, 64});
//   trainer.fit(batches, [&](const DeviceBatch<D>& b) { return bce_with_logits(model(b.images), b.labels); },
//   ...);
#pragma once

#include <array>
#include <concepts>
#include <cstring>
#include <exception>
#include <span>
#include <vector>

#include "kfer/data/loader.hpp"
#include "kfer/tensor/tensor.hpp"

namespace kfer::data {

/// data::Batch with its arrays on a device.
template <class D>
struct DeviceBatch {
  std::int64_t epoch = 0, index = 0, size = 0;
  bool last = false;
  std::vector<std::int64_t> rows;
  Tensor<float, D> images;  ///< [size, 3, height, width]
  Tensor<float, D> labels;  ///< [size, classes]
};

/// A device that copies beside its work: it has a second queue, page-locked host memory, and events that
/// order the queues (see device/cuda/event.hpp).
template <class D>
concept CopiesBesideWork = Device<D> && requires(typename D::Event event, void* to, const void* from) {
  typename D::PinnedBuffer;
  event.record(D::stream());                     // what the queue holds by now
  event.make_wait(D::copy_stream());             // what the queue gets from now on
  event.wait();                                  // the host
  D::copy_from_pinned(to, from, std::size_t{});  // enqueues on copy_stream()
};

namespace detail {

/// A batch on its way to the device, or there.
template <class D>
class StagedBatch {
 public:
  void put(const Batch& batch, const Shape& image) {
    describe(batch);
    out_.images = Tensor<float, D>(images_shape(batch, image), std::span<const float>(batch.images));
    out_.labels = Tensor<float, D>(labels_shape(batch), std::span<const float>(batch.labels));
  }
  const DeviceBatch<D>& get() { return out_; }
  bool is_at(std::int64_t epoch, std::int64_t index) const {
    return out_.epoch == epoch && out_.index == index;
  }

 protected:
  void describe(const Batch& batch) {
    out_.epoch = batch.epoch, out_.index = batch.index, out_.size = batch.size, out_.last = batch.last;
    out_.rows = batch.rows;
  }
  static Shape images_shape(const Batch& batch, const Shape& image) {
    Shape shape{batch.size};
    for (const auto extent : image) shape.push_back(extent);
    require<ShapeError>(std::cmp_equal(batch.images.size(), shape.numel()), "a batch of ", batch.size,
                        " images of shape ", image, " has ", shape.numel(), " values, got ",
                        batch.images.size());
    return shape;
  }
  static Shape labels_shape(const Batch& batch) {
    const auto values = static_cast<std::int64_t>(batch.labels.size());
    require<ShapeError>(batch.size > 0 && values % batch.size == 0, "a batch of ", batch.size, " images has ",
                        values, " labels");
    return {batch.size, values / batch.size};
  }

  DeviceBatch<D> out_;
};

/// The same through page-locked memory and the copy stream.
template <CopiesBesideWork D>
class OverlappedBatch : StagedBatch<D> {
 public:
  using StagedBatch<D>::is_at;

  OverlappedBatch() = default;
  OverlappedBatch(const OverlappedBatch&) = delete;
  OverlappedBatch& operator=(const OverlappedBatch&) = delete;
  /// A copy that nobody waited for still writes to the tensors.
  ~OverlappedBatch() {
    try {
      copied_.wait();
    } catch (const Error&) {  // the device is lost, and its memory with it
    }
  }

  /// Begins to copy. Before it returns, the batch has been read; all work that is enqueued by now may go on
  /// using what was here before.
  void put(const Batch& batch, const Shape& image) {
    const Shape images = this->images_shape(batch, image), labels = this->labels_shape(batch);
    copied_.wait();  // the copy before has read the pinned memory and written its tensors, which may be freed
                     // now
    const std::size_t image_bytes = batch.images.size() * sizeof(float),
                      label_bytes = batch.labels.size() * sizeof(float);
    if (pinned_.bytes() < image_bytes + label_bytes)
      pinned_ = typename D::PinnedBuffer(image_bytes + label_bytes);
    char* host = static_cast<char*>(pinned_.data());
    std::memcpy(host, batch.images.data(), image_bytes);
    std::memcpy(host + image_bytes, batch.labels.data(), label_bytes);
    this->describe(batch);
    float* const to_images = storage(this->out_.images, images);
    float* const to_labels = storage(this->out_.labels, labels);
    // What is enqueued may still read these tensors, or what their memory was before.
    free_.record(D::stream());
    free_.make_wait(D::copy_stream());
    D::copy_from_pinned(to_images, host, image_bytes);
    D::copy_from_pinned(to_labels, host + image_bytes, label_bytes);
    copied_.record(D::copy_stream());
  }

  /// The batch; work enqueued from now on sees it.
  const DeviceBatch<D>& get() {
    copied_.make_wait(D::stream());
    return this->out_;
  }

 private:
  /// The tensor's memory, for overwriting. Another tensor if this one is somebody else's, too.
  static float* storage(Tensor<float, D>& x, const Shape& shape) {
    if (x.shape() != shape || !x.is_unique()) {
      x = {};
      x = Tensor<float, D>(shape);
    }
    return x.mutable_data();
  }

  typename D::PinnedBuffer pinned_;
  typename D::Event free_, copied_;
};

template <class D>
struct staged_batch {
  using type = StagedBatch<D>;
};
template <CopiesBesideWork D>
struct staged_batch<D> {
  using type = OverlappedBatch<D>;
};

}  // namespace detail

/// A source of batches on device D from one of batches on the host (data::Loader). On a device that copies
/// beside its work, the copy of the next batch begins when a batch is handed out; elsewhere a batch is copied
/// when it is asked for.
template <class Source, class D>
class Prefetcher {
 public:
  /// `image`: shape of one image, [3, height, width]. `source` must outlive this object and be read through
  /// it alone.
  Prefetcher(Source& source, const Shape& image) : source_(source), image_(image) {}

  std::int64_t batches_per_epoch() const { return source_.batches_per_epoch(); }

  /// Continues at batch `batch` of epoch `epoch`.
  void seek(std::int64_t epoch, std::int64_t batch = 0) {
    if (fetched_ && slots_[front_].is_at(epoch, batch)) return;
    fetched_ = false;
    error_ = nullptr;
    source_.seek(epoch, batch);
  }

  /// The next batch, valid until the following call; a tensor of it that is copied stays. What the source
  /// throws for a batch is thrown when that batch is due, and again on every later call until a seek.
  const DeviceBatch<D>& next() {
    if (!fetched_ && !error_) fetch();
    if (error_) std::rethrow_exception(error_);
    auto& current = slots_[front_];
    front_ = 1 - front_;
    fetched_ = false;
    const DeviceBatch<D>& out = current.get();
    if constexpr (CopiesBesideWork<D>) fetch();
    return out;
  }

 private:
  /// Puts the source's next batch into the front slot.
  void fetch() {
    try {
      const Batch& batch = source_.next();
      slots_[front_].put(batch, image_);
      fetched_ = true;
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  Source& source_;
  Shape image_;
  std::array<typename detail::staged_batch<D>::type, 2> slots_;
  std::size_t front_ = 0;     ///< slot of the batch that is handed out next
  bool fetched_ = false;      ///< whether it is there
  std::exception_ptr error_;  ///< why it is not
};

}  // namespace kfer::data
