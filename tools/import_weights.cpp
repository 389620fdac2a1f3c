// Weights of other programs as safetensors that kfer's models load: recognises the file by its content, says
// tensor by tensor what became of it, and writes nothing unless the result fits the model.
#include <array>
#include <cmath>
#include <cstdio>
#include <map>

#include "kfer/io/hdf5.hpp"
#include "kfer/io/npz.hpp"
#include "kfer/io/tf_checkpoint.hpp"
#include "kfer/kfer.hpp"
#include "kfer/models/identify.hpp"
#include "kfer/models/keras_order.hpp"
#include "kfer/models/keras_weights.hpp"
#include "kfer/models/tf_weights.hpp"
#include "kfer/models/torchvision_weights.hpp"
#include "kfer/train/flags.hpp"
#include "kfer/train/run.hpp"

namespace {

using namespace kfer;
using models::ImportedTensor;

enum class Format { safetensors, hdf5, npz, tf_checkpoint };

/// What lies at `path`, told from its first and last bytes. Throws IoError, FormatError for what is none of
/// the formats.
Format format_of(const std::string& path) {
  const auto exists = [](const std::string& file) { return ::access(file.c_str(), F_OK) == 0; };
  if (io::detail::is_directory(path)) {
    require<FormatError>(exists(path + "/checkpoint"), "'", path,
                         "' is a directory without the file `checkpoint` of TensorFlow");
    return Format::tf_checkpoint;
  }
  if (!exists(path) && exists(path + ".index")) return Format::tf_checkpoint;
  const io::File file(path);
  const auto size = file.size();
  std::array<std::byte, 128> begin{};
  const auto head = io::as_text(io::Bytes(begin.data(), file.read_some(0, begin)));
  std::array<std::byte, 8> end{};
  if (size >= end.size()) file.read(size - end.size(), end);

  // Its first bytes are a number, any number: the other formats' signatures would be one beyond the size.
  if (size > 8 && head.size() > 8 && head[8] == '{' && io::load_le<std::uint64_t>(begin.data()) <= size - 8)
    return Format::safetensors;
  constexpr std::string_view hdf5 = "\x89HDF\r\n\x1a\n";
  constexpr std::string_view converter =
      "convert it first: python3 tools/state_dict_to_safetensors.py INPUT OUTPUT.safetensors";
  // HDF5 may follow a user block of 512 bytes, or twice that, or again twice...
  for (std::uint64_t at = 0; at < size && at <= 1 << 20; at = at ? 2 * at : 512) {
    std::array<std::byte, 8> signature{};
    if (file.read_some(at, signature) == 8 && io::as_text(signature) == hdf5) return Format::hdf5;
  }
  if (head.starts_with("PK\x03\x04") || head.starts_with("PK\x05\x06")) {
    // Of a zip archive the first entry's name tells: PyTorch's is <name>/data.pkl, Keras 3's metadata.json.
    const auto name = head.substr(std::min<std::size_t>(30, head.size()));
    require<FormatError>(name.substr(0, 90).find("data.pkl") == std::string_view::npos, "'", path,
                         "' is a PyTorch pickle, which can run code; ", converter);
    require<FormatError>(!name.starts_with("metadata.json") && !name.starts_with("config.json"), "'", path,
                         "' is a Keras 3 archive: unzip model.weights.h5 from it and import that");
    return Format::npz;
  }
  require<FormatError>(head.size() < 2 || head[0] != '\x80' || head[1] < 2 || head[1] > 5, "'", path,
                       "' is a Python pickle, which can run code; ", converter);
  if (io::is_sstable(end)) return Format::tf_checkpoint;
  throw FormatError(text("'", path,
                         "' is none of safetensors, Keras HDF5, npz and TensorFlow checkpoint (a "
                         "prefix, its .index or its directory)"));
}

/// A foreign file: its tensors of numbers, and what keeps them in memory.
struct Source {
  std::string format;
  std::vector<io::NamedTensor> tensors;
  std::vector<std::pair<std::string, std::string>> others;  ///< (name, what it is)
  std::optional<io::Safetensors> safetensors = {};
  std::optional<io::Hdf5> hdf5 = {};
  std::optional<io::TfCheckpoint> checkpoint = {};
  std::vector<io::NamedArray> arrays = {};
};

Source open_source(const std::string& path) {
  Source source;
  switch (format_of(path)) {
    case Format::safetensors:
      source.format = "safetensors";
      source.safetensors = io::Safetensors::open(path);
      source.tensors = source.safetensors->tensors();
      break;
    case Format::hdf5:
      source.format = "Keras HDF5";
      source.hdf5 = io::Hdf5::open(path);
      source.tensors = source.hdf5->datasets();
      source.others = source.hdf5->others();
      break;
    case Format::tf_checkpoint:
      source.format = "TensorFlow checkpoint";
      source.checkpoint = io::TfCheckpoint::open(path);
      source.tensors = source.checkpoint->tensors();
      for (const auto& name : source.checkpoint->strings()) source.others.emplace_back(name, "strings");
      break;
    case Format::npz:
      source.format = "npz";
      source.arrays = io::read_npz(path);
      for (const auto& [name, array] : source.arrays) {
        const std::map<std::string, std::string> dtypes = {
            {"<f4", "F32"}, {"<f8", "F64"}, {"<i4", "I32"}, {"<i8", "I64"}, {"|u1", "U8"}};
        source.tensors.emplace_back(name, io::TensorView{dtypes.at(array.dtype), array.shape, array.data});
      }
      break;
  }
  return source;
}

/// The source's weights in kfer's names, and what is none of them.
std::vector<ImportedTensor> import(const Source& source, const std::string& path, const std::string& model) {
  const auto where = text("'", path, "'");
  if (source.hdf5) return models::import_keras(*source.hdf5, model);
  if (source.checkpoint) return models::import_tf(*source.checkpoint, model);
  // Names that are no model's: arrays of get_weights(), which numpy.savez(*arrays) calls arr_0, arr_1, ...
  if (source.format == "npz" && !models::identify_tensors(source.tensors))
    return models::import_keras_list(source.tensors, model, path);
  return models::import_state_dict(source.tensors, where);
}

std::string rounded(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4g", value);
  return buffer;
}

/// Smallest, largest, mean; and how many are not finite.
struct Range {
  double least = INFINITY, largest = -INFINITY, sum = 0;
  std::size_t count = 0, not_finite = 0;

  explicit Range(const std::vector<float>& values) : count(values.size()) {
    for (const float v : values) {
      not_finite += !std::isfinite(v);
      least = std::min<double>(least, v);
      largest = std::max<double>(largest, v);
      sum += v;
    }
  }
  std::string line() const {
    if (count == 0) return "no values";
    if (not_finite) return text(not_finite, " of ", count, " values not finite");
    return text("min ", rounded(least), ", max ", rounded(largest), ", mean ",
                rounded(sum / static_cast<double>(count)));
  }
};

bool is_floating(std::string_view dtype) {
  return dtype == "F16" || dtype == "BF16" || dtype == "F32" || dtype == "F64";
}

void list(const Source& source, const std::string& path) {
  std::printf("%s: %s, %zu tensors\n", path.c_str(), source.format.c_str(), source.tensors.size());
  for (const auto& [name, view] : source.tensors) {
    const auto range =
        is_floating(view.dtype) ? "  " + Range(kfer::detail::floating_values<float>(view, name)).line() : "";
    std::printf("  %s  %s %s%s\n", name.c_str(), view.dtype.c_str(), to_string(view.shape).c_str(),
                range.c_str());
  }
  for (const auto& [name, what] : source.others) std::printf("  %s  %s\n", name.c_str(), what.c_str());
}

/// One line a tensor; returns how many values are not finite.
std::size_t report(const Source& source, const std::vector<ImportedTensor>& tensors) {
  std::map<std::string, const io::TensorView*> views;
  for (const auto& [name, view] : source.tensors) views.emplace(name, &view);
  std::size_t not_finite = 0;
  for (const auto& tensor : tensors) {
    const auto view = views.find(tensor.source);
    const auto from = view == views.end()
                          ? tensor.source
                          : text(tensor.source, "  ", view->second->dtype, ' ', view->second->shape);
    if (tensor.name.empty()) {
      std::printf("  %s  skipped: %s\n", from.c_str(), tensor.note.c_str());
      continue;
    }
    const Range range(tensor.values);
    not_finite += range.not_finite;
    std::printf("  %s -> %s  %s  %s; %s\n", from.c_str(), tensor.name.c_str(),
                to_string(tensor.shape).c_str(), tensor.note.c_str(), range.line().c_str());
  }
  return not_finite;
}

/// Compares with the model, tensor by tensor, and says what does not fit. Returns the model's parameters.
std::int64_t check_fit(const std::vector<ImportedTensor>& tensors, const models::ModelKind& kind,
                       const std::string& path) {
  return models::with_model(kind, [&](auto& model) {
    std::vector<std::pair<std::string, Shape>> entries;
    std::int64_t values = 0;
    for (const auto& tensor : tensors)
      if (!tensor.name.empty()) {
        for (const auto& [other, shape] : entries)
          require<FormatError>(other != tensor.name, "'", path, "': two tensors become '", tensor.name, "'");
        entries.emplace_back(tensor.name, tensor.shape);
        values += tensor.shape.numel();
      }
    const auto misfits =
        kfer::detail::compare_entries(model, entries, [](const Shape& s) -> const Shape& { return s; }, {});
    const auto print = [](const char* title, const std::vector<std::string>& names) {
      for (const auto& name : names) std::printf("  %s: %s\n", title, name.c_str());
    };
    print("missing", misfits.missing);
    print("unexpected", misfits.unexpected);
    print("of another shape", misfits.shapes);
    const auto total = count_parameters(model).total;
    require<ShapeError>(!misfits.any(), "'", path, "' does not fit ", kind.name, ": ", misfits.missing.size(),
                        " tensors missing, ", misfits.unexpected.size(), " unexpected, ",
                        misfits.shapes.size(), " of another shape; ", values, " parameters, expected ",
                        total);
    return total;
  });
}

int run(int argc, char** argv) {
  std::vector<std::string> inputs;
  std::string output, model, form;
  bool list_only = false, raw = false;
  Flags flags(
      "import_weights",
      "Converts weights of PyTorch (safetensors), Keras (.h5), NumPy (.npz) and TensorFlow (checkpoints) to "
      "safetensors that kfer's models load.");
  flags
      .operands(inputs, "INPUT",
                "the file, or a checkpoint's prefix or directory; its content tells the format")
      .add("output,o", output, "the safetensors file to write")
      .add("model", model, "the model expected; told from the weights without it",
           {.choices = {"resnet50", "resnet18", "resnet50_classifier", "autoencoder",
                        "autoencoder_classifier", "conv_net"}})
      .add("form", form, "the ResNet form expected: Keras' v1 or torchvision's v1.5",
           {.choices = {"keras", "torchvision"}})
      .add("list", list_only, "list what the file holds and write nothing")
      .add("raw", raw, "copy all tensors of numbers as they are, for no model");
  if (!flags.parse(argc, argv)) return 0;
  require<UsageError>(inputs.size() == 1, "expected one INPUT, got ", inputs.size(), "; see --help");
  require<UsageError>(list_only || !output.empty(), "-o OUTPUT is missing (or --list)");
  require<UsageError>(!raw || (model.empty() && form.empty()),
                      "--raw copies for no model: no --model, no --form");
  const auto& path = inputs[0];

  const auto source = open_source(path);
  if (list_only) {
    list(source, path);
    return 0;
  }
  io::Metadata metadata = {{"source", path.substr(path.find_last_of('/', path.size() - 2) + 1)},
                           {"source_format", source.format}};
  if (raw) {
    list(source, path);
    io::write_safetensors(output, source.tensors, metadata);
    std::printf("%s: %zu tensors, as they are\n", output.c_str(), source.tensors.size());
    return 0;
  }

  const auto tensors = import(source, path, model);
  std::printf("%s: %s, %zu tensors\n", path.c_str(), source.format.c_str(), source.tensors.size());
  const auto not_finite = report(source, tensors);
  auto kind = models::identify_model([&](const std::string& name) -> const Shape* {
    for (const auto& tensor : tensors)
      if (tensor.name == name) return &tensor.shape;
    return nullptr;
  });
  require<FormatError>(kind.has_value(), "'", path,
                       "': no model of kfer has such weights; --list shows what it holds");
  require<FormatError>(model.empty() || kind->name == model, "'", path, "' holds weights of ", kind->name,
                       ", expected ", model);
  require<FormatError>(form.empty() || kind->form == form, "'", path, "' holds weights of ", kind->name,
                       kind->form.empty() ? "" : text(" in the form of ", kind->form),
                       ", expected the form of ", form);
  const auto total = check_fit(tensors, *kind, path);
  require<NumericError>(not_finite == 0, "'", path, "': ", not_finite,
                        " values are not finite; nothing is written");

  metadata.insert(metadata.begin(), {"model", kind->name});
  if (!kind->form.empty()) metadata.emplace_back("form", kind->form);
  if (kind->kernel) metadata.emplace_back("kernel", text(kind->kernel));
  if (kind->image_size) metadata.emplace_back("image_size", text(kind->image_size));
  for (const char* key : {"task", "labels", "activation", "epoch"})  // of weights that kfer saved
    if (const auto value = source.safetensors ? source.safetensors->metadata(key) : std::nullopt)
      metadata.emplace_back(key, *value);
  std::vector<io::NamedTensor> out;
  for (const auto& tensor : tensors)
    if (!tensor.name.empty())
      out.emplace_back(tensor.name, io::tensor_view(std::span<const float>(tensor.values), tensor.shape));
  io::write_safetensors(output, out, metadata);
  std::printf("%s: %s%s%s, %lld parameters in %zu tensors, as many as the model has; %zu tensors skipped\n",
              output.c_str(), kind->name.c_str(), kind->form.empty() ? "" : " in the form of ",
              kind->form.c_str(), static_cast<long long>(total), out.size(), tensors.size() - out.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("import_weights", [&] { return run(argc, argv); });
}
