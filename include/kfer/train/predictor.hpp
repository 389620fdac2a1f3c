// Trained weights at work on image files of any size:
//
//   kfer::Predictor predict("runs/multi-label/resnet50/weights/best.safetensors");
//   for (const auto& p : predict.files({"a.jpg", "b.png"}))
//     for (const auto& [label, probability] : p.top(3)) std::printf("%s %.2f\n", label.c_str(), probability);
//
// An image is decoded, turned upright (Exif), made RGB, resampled to the model's size with antialiasing
// whatever its aspect ratio, and divided by 255: what the K-drama models were trained on, and nothing else.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kfer/core/ordered_map.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/data/loader.hpp"
#include "kfer/io/exif.hpp"
#include "kfer/io/file.hpp"
#include "kfer/io/resize.hpp"
#include "kfer/models/classifier.hpp"
#include "kfer/ops/ops.hpp"
#include "kfer/tensor/relayout.hpp"
#include "kfer/train/prediction.hpp"

namespace kfer {

struct PredictorOptions {
  std::int64_t batch_size = 64;     ///< images that go through the model at once, at most 65536
  std::optional<int> workers = {};  ///< decoding threads, by default num_threads(); 0: the caller decodes
  io::ImageLimits limits = {};      ///< larger images are broken ones
  std::uint64_t max_file_bytes = 1 << 30;  ///< of an image file
};

/// A trained classifier of image files. Copies share the weights; several threads may call one at once.
template <class D = Cpu>
class Predictor {
 public:
  /// Weights with metadata as training writes them; `about` supplies what they lack. Throws ValueError for a
  /// batch size out of range, and IoError, FormatError, ShapeError and ValueError as `models::Classifier`.
  explicit Predictor(const std::string& weights, const models::ClassifierOptions& about = {},
                     PredictorOptions options = {})
      : classifier_(weights, about),
        options_(std::move(options)),
        labels_(std::make_shared<const std::vector<std::string>>(info().labels)) {
    require(options_.batch_size >= 1 && options_.batch_size <= 65536,
            "the batch size must be in [1, 65536], got ", options_.batch_size);
  }

  const models::ClassifierInfo& info() const { return classifier_.info(); }

  /// The prediction of one file. Throws IoError, FormatError.
  Prediction file(const std::string& path) const { return files({path}).front(); }

  /// The predictions of `paths`, in their order. Throws IoError or FormatError for the first that is no whole
  /// image, after reading all: `stream` goes on instead.
  std::vector<Prediction> files(const std::vector<std::string>& paths) const {
    std::vector<Prediction> out;
    out.reserve(paths.size());
    std::size_t next = 0;
    stream(
        [&]() -> std::optional<ImageFile> {
          if (next == paths.size()) return std::nullopt;
          return ImageFile{paths[next++]};
        },
        [&](Prediction p) { out.push_back(std::move(p)); });
    for (const auto& p : out) p.rethrow();
    return out;
  }

  /// Predicts every file that `next` returns, until it returns nothing, and hands the predictions to `take`,
  /// in the order of the files, whatever the threads. Holds a few batches of small images, however many files
  /// there are; decoding goes on while the model computes. A file that cannot be read is a prediction with an
  /// error; what `next` and `take` throw ends the stream, and is thrown here. Throws NumericError if the
  /// model returns something else than probabilities, OutOfMemoryError if a batch does not fit the memory.
  ///
  /// `next` is called by the decoding threads (one at a time), `take` by the caller's.
  PredictionCounts stream(std::function<std::optional<ImageFile>()> next,
                          const std::function<void(Prediction)>& take) const {
    const auto batch_size = static_cast<std::size_t>(options_.batch_size);
    OrderedMap<ImageFile, Loaded> loaded(
        std::move(next), [this](ImageFile file) { return load(std::move(file)); },
        {.workers = options_.workers.value_or(num_threads()), .capacity = options_.batch_size * 2});
    PredictionCounts counts;
    std::vector<Loaded> waiting;  // in order, with broken ones between
    std::size_t images = 0;       // of those
    const auto flush = [&] {
      predict(waiting, images, take, counts);
      waiting.clear();
      images = 0;
    };
    while (auto one = loaded.next()) {
      if (one->passed_over) {
        ++counts.passed_over;
        continue;
      }
      images += !one->failure;
      waiting.push_back(std::move(*one));
      if (images == batch_size || waiting.size() == 4 * batch_size) flush();
    }
    flush();
    return counts;
  }

  /// Probabilities [N, labels] of images that are upright RGB, of any size. Throws ValueError for others, and
  /// NumericError and OutOfMemoryError as `stream`.
  std::vector<std::vector<float>> images(std::vector<io::Image> images) const {
    std::vector<Loaded> loaded(images.size());
    parallel_for(static_cast<std::int64_t>(images.size()), [&](std::int64_t i) {
      const auto at = static_cast<std::size_t>(i);
      loaded[at].pixels = resized(std::move(images[at]));
    });
    std::vector<std::vector<float>> out;
    for (std::size_t begin = 0; begin < loaded.size();
         begin += static_cast<std::size_t>(options_.batch_size)) {
      const auto n = std::min(loaded.size() - begin, static_cast<std::size_t>(options_.batch_size));
      const auto p = probabilities(std::span(loaded).subspan(begin, n), n);
      for (std::size_t i = 0; i < n; ++i) out.push_back(row(p, i));
    }
    return out;
  }

 private:
  /// A file on its way: the pixels as the model takes them, or why there are none.
  struct Loaded {
    std::string path;
    std::vector<std::uint8_t> pixels;
    std::exception_ptr failure;
    bool passed_over = false;
  };

  std::vector<std::uint8_t> resized(io::Image image) const {
    const int size = static_cast<int>(info().image_size);
    return io::resize(std::move(image), {size, size}).pixels;
  }

  static bool named_as_image(const std::string& path) {
    const auto dot = path.rfind('.');
    std::string end = dot == std::string::npos ? "" : path.substr(dot);
    for (char& c : end) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return end == ".jpg" || end == ".jpeg" || end == ".png";
  }

  Loaded load(ImageFile source) const {
    Loaded out{std::move(source.path), {}, nullptr, false};
    try {
      const io::File file(out.path);
      std::array<std::byte, 8> head{};
      const auto start = io::as_text(std::span(head).first(file.read_some(0, head)));
      const bool is_image = start.starts_with(io::jpeg_magic) || start.starts_with(io::png_magic);
      if (source.pass_over_others && !is_image && !named_as_image(out.path)) {
        out.passed_over = true;
        return out;
      }
      require<FormatError>(is_image, "image: neither JPEG nor PNG (", file.size(), " bytes)");
      const auto bytes = file.size();
      require<FormatError>(bytes <= options_.max_file_bytes, "image: a file of ", bytes, " bytes, at most ",
                           options_.max_file_bytes, " are allowed");
      std::vector<std::byte> content(static_cast<std::size_t>(bytes));
      file.read(0, content);
      out.pixels = resized(io::decode_upright(content, options_.limits));
    } catch (const IoError&) {  // it names the path
      out.failure = std::current_exception();
    } catch (const Error& error) {
      out.failure = std::make_exception_ptr(FormatError(text("'", out.path, "': ", error.what())));
    } catch (const std::bad_alloc&) {
      out.failure =
          std::make_exception_ptr(OutOfMemoryError(text("'", out.path, "': not enough memory to decode it")));
    }
    return out;
  }

  /// Row-major probabilities of the `images` among `loaded` that have pixels.
  std::vector<float> probabilities(std::span<const Loaded> loaded, std::size_t images) const {
    const auto size = info().image_size;
    const auto pixels = static_cast<std::size_t>(size * size);
    std::vector<float> planes(images * pixels * 3);
    std::size_t n = 0;
    for (const auto& one : loaded)
      if (!one.failure) data::to_planes(one.pixels.data(), planes.data() + pixels * 3 * n++, pixels);
    return classifier_(Tensor<float, D>({static_cast<std::int64_t>(images), 3, size, size},
                                        std::span<const float>(planes)))
        .to_vector();
  }

  std::vector<float> row(const std::vector<float>& all, std::size_t i) const {
    const auto classes = labels_->size();
    std::vector<float> out(all.begin() + static_cast<std::ptrdiff_t>(i * classes),
                           all.begin() + static_cast<std::ptrdiff_t>((i + 1) * classes));
    for (const float p : out)
      require<NumericError>(std::isfinite(p), "the model answers with ", p, ": its weights are damaged");
    return out;
  }

  void predict(std::vector<Loaded>& loaded, std::size_t images, const std::function<void(Prediction)>& take,
               PredictionCounts& counts) const {
    const auto all = images ? probabilities(loaded, images) : std::vector<float>();
    std::size_t n = 0;
    for (auto& one : loaded) {
      ++(one.failure ? counts.broken : counts.predicted);
      if (one.failure)
        take(Prediction(std::move(one.path), labels_, std::move(one.failure)));
      else
        take(Prediction(std::move(one.path), labels_, row(all, n++)));
    }
  }

  models::Classifier<D> classifier_;
  PredictorOptions options_;
  Prediction::Labels labels_;
};

}  // namespace kfer
