// Trained weights at work on photographs:
//
//   predict_images --weights runs/multi-label/resnet50/weights/best.safetensors faces/
//   find . -name '*.jpg' | predict_images --weights best.safetensors --list - --format csv --output
//   emotions.csv
//
// Exit code 0: all images predicted; 1: some were broken, each is a row with an error; 2: nothing could be
// predicted (flags, weights, a full disk). Like other filters it ends silently when nobody reads its output.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "kfer/core/config.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/device/with_device.hpp"
#include "kfer/train/flags.hpp"
#include "kfer/train/interrupt.hpp"
#include "kfer/train/run.hpp"
#include "predict/image_source.hpp"
#include "predict/predict.hpp"
#include "predict/prediction_rows.hpp"

namespace {

using namespace kfer;

struct Options {
  std::string weights, format = "text", output, list, device = "cpu", task, labels, activation;
  std::optional<float> threshold;
  std::optional<std::int64_t> top, image_size;
  std::int64_t batch_size = 64;
  std::optional<int> workers;
  bool recursive = false;
  std::vector<std::string> paths;

  Flags flags() {
    Flags f("predict_images",
            "Predicts the labels of JPEG and PNG images by trained weights. Exit code 0: all predicted; 1: "
            "some images\n"
            "were broken; 2: wrong flags, weights or output.");
    f.operands(paths, "PATH...",
               "images, and folders whose images (told by content) are taken in the order of their names");
    f.add("weights,w", weights, "what training saved (safetensors)")
        .add("threshold", threshold,
             "labels of at least this probability [0.5 unless classes exclude each other]",
             {.min = 0, .max = 1})
        .add("top", top, "at most so many labels, the most probable [1 if classes exclude each other]",
             {.min = 1})
        .add(
            "format", format,
            "text: a line an image; csv: a column a label, then 'error'; json: an object a line (JSON Lines)",
            {.choices = {"text", "csv", "json"}})
        .add("output,o", output, "file to write, when all is done (default: standard output)")
        .add("recursive,r", recursive, "also folders within folders")
        .add("list", list, "file with more paths, one a line; -: standard input")
        .add("batch-size,b", batch_size, "images that go through the model at once", {.min = 1, .max = 65536})
        .add("workers,j", workers, "threads that decode images (default: as many as compute)",
             {.min = 0, .max = 256})
        .add("device", device, "cpu or cuda")
        .add("task", task,
             "older weights: the label set they were trained on: 6_basic_emo, 22_emo or multi-label")
        .add("labels", labels, "weights of other tasks: names of their outputs, joined by commas")
        .add("activation", activation, "weights of other tasks: softmax (one class an image) or sigmoid")
        .add("image-size", image_size, "older ResNet weights: height and width of the images they take",
             {.min = 1, .max = 4096});
    return f;
  }
};

/// Where rows go: standard output, or a file that appears when it is complete.
class Output {
 public:
  /// Throws IoError if it cannot be written to.
  explicit Output(const std::string& path) : terminal_(path.empty() && ::isatty(STDOUT_FILENO)) {
    if (!path.empty()) file_.emplace(path);
  }

  void write(std::string_view rows) {
    if (file_) return file_->write(rows);
    buffer_ += rows;
    if (terminal_ || buffer_.size() >= (1 << 16)) flush();
  }

  /// Everything that was written is there. Throws IoError.
  void finish() {
    if (file_)
      file_->commit();
    else
      flush();
  }
  void flush() {
    io::detail::write_all(STDOUT_FILENO, io::as_bytes(std::exchange(buffer_, {})), "standard output");
  }

 private:
  std::optional<io::AtomicFile> file_;
  std::string buffer_;
  bool terminal_;
};

int predict_images(const Options& options) {
  require<UsageError>(!options.weights.empty(), "--weights is missing: the weights of a trained model");
  require<UsageError>(!options.paths.empty() || !options.list.empty(),
                      "no images: give files or folders, or a list of them by --list");
  const Interrupt interrupt;
  predict::ImageSource source(options.paths, options.list, options.recursive);
  std::optional<Output> output;
  std::optional<predict::PredictionRows> rows;

  predict::PredictionRun run;
  run.weights = options.weights;
  run.about = {
      .task = options.task,
      .labels = options.labels.empty() ? std::vector<std::string>() : models::split_labels(options.labels),
      .activation = options.activation,
      .image_size = options.image_size.value_or(0)};
  run.batch_size = options.batch_size;
  run.workers = options.workers;
  run.begin = [&](const models::ClassifierInfo& info) {
    std::fprintf(stderr, "kfer %s, device %s, %d threads; %s, %zu labels, %s, images of %lld x %lld%s\n",
                 kfer::version, options.device.c_str(), num_threads(), info.model.name.c_str(),
                 info.labels.size(), std::string(name_of(info.activation)).c_str(),
                 static_cast<long long>(info.image_size), static_cast<long long>(info.image_size),
                 info.epoch.empty() ? "" : (", epoch " + info.epoch).c_str());
    const bool exclusive = info.activation == models::Activation::softmax;
    output.emplace(options.output);
    rows.emplace(options.format, predict::Selection{exclusive, options.threshold, options.top}, info.labels);
    output->write(rows->header());
  };
  run.next = [&] { return interrupt ? std::nullopt : source.next(); };
  run.take = [&](const Prediction& p) {
    if (!p)
      std::fprintf(stderr, "predict_images: %s\n",
                   rows->printable(text(p.path(), ": ", rows->reason(p))).c_str());
    output->write(rows->row(p));
  };
  const auto begin = std::chrono::steady_clock::now();
  const auto counts = with_device(options.device, [&]<class D>(D) { return predict::predict_on<D>(run); });
  if (interrupt) {
    output->flush();
    std::fprintf(stderr, "predict_images: interrupted%s\n",
                 options.output.empty() ? "" : text("; '", options.output, "' was not written").c_str());
    return exit_interrupted;
  }
  output->finish();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::fprintf(stderr, "%lld images predicted, %lld broken, %lld other files passed over, %.2f s\n",
               static_cast<long long>(counts.predicted), static_cast<long long>(counts.broken),
               static_cast<long long>(counts.passed_over), seconds);
  return counts.broken ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("predict_images", [&] {
    Options options;
    return options.flags().parse(argc, argv) ? predict_images(options) : 0;
  });
}
