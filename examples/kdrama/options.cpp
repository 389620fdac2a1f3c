#include "kdrama/options.hpp"

#include "kfer/data/augment.hpp"
#include "kfer/data/kdrama_files.hpp"
#include "kfer/io/crc32c.hpp"
#include "kfer/io/file.hpp"

namespace kdrama {

using namespace kfer;

namespace {

void add_data(Flags& flags, DataOptions& o) {
  flags.add("data-path", o.data_path, "directory with tfrecords/ and label/")
      .add("split", o.split, "published: by image; by-clip: no clip on two sides",
           {.choices = {"published", "by-clip"}})
      .add("augment", o.augment, text("of training images; ", data::augmentation_help))
      .add("on-corrupt", o.on_corrupt, "what a damaged record does", {.choices = {"fail", "skip"}})
      .add("limit", o.limit, "train on the first so many images only; 0: all", {.min = 0})
      .add("workers,j", o.workers, "threads that decode images; 0: none besides the training loop",
           {.min = 0, .max = 256});
}

void add_device(Flags& flags, DeviceOptions& o) {
  flags.add("device", o.device, "cpu or cuda")
      .add("amp", o.amp, "cuda: activations in bfloat16, parameters in float")
      .add("strict-fp32", o.strict_fp32, "cuda: no TensorFloat-32 in products of float")
      .add("eager", o.eager, "cuda: launch every kernel of a step instead of replaying a captured graph");
}

void add_run(Flags& flags, RunOptions& o, const char* default_name) {
  flags.add("output-dir", o.output_dir, "where runs are kept")
      .add("name", o.name, text("of the run (default: ", default_name, ")"))
      .add("save-every", o.save_every, "also save the state every so many steps; 0: every epoch", {.min = 0})
      .add("on-non-finite", o.on_non_finite,
           "what a batch does whose loss or gradient is not finite: end the run, or be skipped and counted",
           {.choices = {"stop", "skip"}})
      .add("resume", o.resume, "continue the run of this name")
      .add("overwrite", o.overwrite, "begin anew although there is a run of this name")
      .add("test-only", o.test_only, "only evaluate the run's best weights, or --test-weights")
      .add("test-weights", o.test_weights, "weights for --test-only (safetensors)");
}

}  // namespace

void PretrainOptions::add_to(Flags& flags) {
  add_data(flags, data);
  add_device(flags, device);
  flags
      .add("set", set, "whose training images are reconstructed",
           {.choices = {"multi-label", "22_emo", "6_basic_emo"}})
      .add("batch-size,b", batch_size, "images a step; the last partial batch is dropped",
           {.min = 1, .max = 65536})
      .add("epochs", epochs, "at most", {.min = 0})
      .add("lr", lr, "learning rate of Adam", {.min = 0})
      .add("epsilon", epsilon, "of Adam, outside of the bias correction as in Keras", {.min = 1e-30})
      .add("noise", noise, "deviation of the normal noise that shows denoising; published: 0.05",
           {.min = 0, .max = 1})
      .add("seed", seed, "of weights, order and noise");
  add_run(flags, run, "autoencoder");
}

void Options::add_to(Flags& flags) {
  add_data(flags, data);
  if (!multi_label()) flags.add("task", task, "emotions to tell apart", {.choices = {"6", "22"}});
  flags.add("model", model, "what to train", {.choices = {"autoencoder", "conv_net", "resnet50"}});
  add_device(flags, device);
  flags
      .add("batch-size,b", batch_size, "images a step; the last partial batch is dropped",
           {.min = 1, .max = 65536})
      .add("epochs", epochs, "at most", {.min = 0})
      .add("patience", patience, "epochs without a better val_loss before training stops; 0: never",
           {.min = 0})
      .add("lr", lr, "learning rate of the first step", {.min = 0})
      .add("lr-decay", lr_decay, "factor on the learning rate over --lr-decay-epochs, applied continuously",
           {.min = 0, .max = 1})
      .add("lr-decay-epochs", lr_decay_epochs, "see --lr-decay", {.min = 1e-9})
      .add("epsilon", epsilon, "of Adam, outside of the bias correction as in Keras", {.min = 1e-30})
      .add("kernel", kernel, "conv_net: extent of its kernels", {.min = 1, .max = 31});
  if (!multi_label())
    flags.add("class-weights", class_weights, "of the loss; auto: published for 6 classes, none for 22",
              {.choices = {"auto", "published", "none"}});
  flags.add("freeze", freeze, "resnet50: layers that are not trained", {.choices = {"published", "none"}})
      .add("weights", weights, "resnet50: backbone to start from, as import_weights writes it")
      .add("autoencoder", autoencoder,
           "autoencoder: pre-trained weights (safetensors), instead of pre-training")
      .add("pretrain-epochs", pretrain_epochs,
           "autoencoder: epochs of reconstruction before, of the same images", {.min = 0})
      .add("pretrain-lr", pretrain_lr, "autoencoder: learning rate of the reconstruction", {.min = 0})
      .add("pretrain-seed", pretrain_seed, "autoencoder: of the order in the reconstruction")
      .add("seed", seed, "of weights, order and dropout");
  add_run(flags, run, "the model");
}

void RunOptions::check() const {
  require<UsageError>(test_weights.empty() || test_only, "--test-weights is for --test-only");
}

void DeviceOptions::check() const {
  require<UsageError>(!amp || device != "cpu", amp_on_cpu);
}

namespace {

void check_shared(const DataOptions& images, const DeviceOptions& device, const RunOptions& run) {
  run.check();
  device.check();
  data::augmentation(images.augment);  // throws for one that it does not know
}

}  // namespace

void PretrainOptions::check() const {
  check_shared(data, device, run);
}

void Options::check() const {
  check_shared(data, device, run);
  const auto only_for = [&](const char* flag, const std::string& value, const char* of) {
    require<UsageError>(value.empty() || model == of, flag, " is for --model ", of, ", not for ", model);
  };
  only_for("--weights", weights, "resnet50");
  only_for("--autoencoder", autoencoder, "autoencoder");
  require<UsageError>(kernel % 2 == 1, "--kernel: expected an odd number, got ", kernel);
}

const data::LabelSet& Options::set() const {
  return task == "6" ? data::basic6 : task == "22" ? data::emo22 : data::multi_label;
}

Options published_recipe(const std::string& task, const std::string& model) {
  Options o;
  o.task = task;
  o.model = model;
  if (!o.multi_label()) o.kernel = 3;
  return o;
}

PretrainOptions quick_pretraining() {
  PretrainOptions o;
  o.batch_size = 32;
  o.epochs = 6;
  return o;
}

Options quick_recipe(const std::string& task, const std::string& model) {
  Options o = published_recipe(task, model);
  const PretrainOptions before = quick_pretraining();
  o.batch_size = before.batch_size;
  o.pretrain_epochs = before.epochs;
  o.freeze = "none";
  double last_lr = 1e-4;
  o.lr = 1e-3;
  if (model == "autoencoder") {
    o.epochs = 25;
    o.lr = 4e-4;
    last_lr = 1.2e-4;
  } else {
    o.epochs = model == "conv_net" ? 6 : 10;
  }
  // The one-label sets have a third and half of the multi-label set's images: as many steps for all.
  o.epochs *= task == "6" ? 3 : task == "22" ? 2 : 1;
  o.lr_decay = last_lr / o.lr;
  o.lr_decay_epochs = static_cast<double>(o.epochs);
  return o;
}

std::string describe_schedule(const Options& o) {
  std::string out =
      text("at most ", o.epochs, " epochs of batches of ", o.batch_size, ", Adam, learning rate ", o.lr,
           " times ", o.lr_decay, " every ", o.lr_decay_epochs, " epochs");
  if (o.patience) out += text(", stopped after ", o.patience, " epochs without a better validation loss");
  if (o.model == "autoencoder" && o.autoencoder.empty() && o.pretrain_epochs)
    out += text(", after ", o.pretrain_epochs, " epochs of reconstruction");
  return out;
}

namespace {

/// Of the bytes of the files, one after the other.
std::string checksum(std::initializer_list<std::string> paths) {
  std::uint32_t crc = 0;
  std::vector<std::byte> part(std::size_t{1} << 20);
  for (const auto& path : paths) {
    const io::File file(path);
    std::uint64_t at = 0;
    while (const auto n = file.read_some(at, part)) {
      crc = io::crc32c(std::span(part).first(n), crc);
      at += n;
    }
  }
  char out[16];
  std::snprintf(out, sizeof out, "%08x", crc);
  return out;
}

template <class O>
io::Json arguments_with_files(O& options, const data::LabelSet& set) {
  Flags flags("", "");
  options.add_to(flags);
  io::Json out = flags.to_json();
  const auto files = [&](data::Split split) {
    return data::kdrama_files(options.data.data_path, set, split);
  };
  const auto train = files(data::Split::train), valid = files(data::Split::valid),
             test = files(data::Split::test);
  out["files"]["labels"] = checksum({train.labels, valid.labels, test.labels});
  out["files"]["records"] = checksum({train.records, valid.records, test.records});
  return out;
}

}  // namespace

io::Json arguments_of(Options options) {
  io::Json out = arguments_with_files(options, options.set());
  if (!options.weights.empty()) out["files"]["weights"] = checksum({options.weights});
  if (!options.autoencoder.empty()) out["files"]["autoencoder"] = checksum({options.autoencoder});
  return out;
}
io::Json arguments_of(PretrainOptions options) {
  return arguments_with_files(options, data::label_set(options.set));
}

}  // namespace kdrama
