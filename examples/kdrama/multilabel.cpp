// What of the multi-label experiment is the same on every device.
#include "kdrama/multilabel.hpp"

#include "kfer/device/with_device.hpp"

namespace kdrama {

using namespace kfer;

void MultilabelOptions::add_to(Flags& flags) {
  flags.add("data-path", data_path, "directory with tfrecords/ and label/")
      .add("model", model, "what to train", {.choices = {"autoencoder", "conv_net", "resnet50"}})
      .add("device", device, "cpu or cuda")
      .add("amp", amp, "cuda: activations in bfloat16, parameters in float")
      .add("strict-fp32", strict_fp32, "cuda: no TensorFloat-32 in products of float")
      .add("eager", eager, "cuda: launch every kernel of a step instead of replaying a captured graph")
      .add("batch-size,b", batch_size, "images a step; the last partial batch is dropped", {.min = 1})
      .add("epochs", epochs, "at most", {.min = 0})
      .add("patience", patience, "epochs without a better val_loss before training stops; 0: never",
           {.min = 0})
      .add("lr", lr, "learning rate of the first step", {.min = 0})
      .add("lr-decay", lr_decay, "factor on the learning rate over --lr-decay-epochs, applied continuously",
           {.min = 0, .max = 1})
      .add("lr-decay-epochs", lr_decay_epochs, "see --lr-decay", {.min = 1e-9})
      .add("epsilon", epsilon, "of Adam, outside of the bias correction as in Keras", {.min = 1e-30})
      .add("kernel", kernel, "conv_net: extent of its kernels", {.min = 1, .max = 31})
      .add("freeze", freeze, "resnet50: layers that are not trained", {.choices = {"published", "none"}})
      .add("weights", weights, "resnet50: backbone to start from (safetensors with torchvision's names)")
      .add("autoencoder", autoencoder,
           "autoencoder: pre-trained weights (safetensors), instead of pre-training")
      .add("pretrain-epochs", pretrain_epochs, "autoencoder: epochs of reconstruction before", {.min = 0})
      .add("pretrain-lr", pretrain_lr, "autoencoder: learning rate of the reconstruction", {.min = 0})
      .add("seed", seed, "of weights, order and dropout")
      .add("workers,j", workers, "threads that decode images; 0: none besides the training loop",
           {.min = 0, .max = 256})
      .add("split", split, "published: by image; by-clip: no clip on two sides",
           {.choices = {"published", "by-clip"}})
      .add("on-corrupt", on_corrupt, "what a damaged record does", {.choices = {"fail", "skip"}})
      .add("limit", limit, "train on the first so many images only; 0: all", {.min = 0})
      .add("output-dir", output_dir, "where runs are kept")
      .add("name", name, "of the run (default: the model)")
      .add("save-every", save_every, "also save the state every so many steps; 0: every epoch", {.min = 0})
      .add("resume", resume, "continue the run of this name")
      .add("overwrite", overwrite, "begin anew although there is a run of this name")
      .add("test-only", test_only, "only evaluate the run's best weights, or --test-weights")
      .add("test-weights", test_weights, "weights for --test-only (safetensors)");
}

Scores published_scores(const std::string& model) {
  if (model == "autoencoder")
    return {{.0219, .1986, .2406, .1899, .1056}, {.4101, .4861, .4565, .3574, .2234}, .4521};
  if (model == "conv_net")
    return {{.4882, .6082, .6530, .6765, .6803}, {.7613, .8069, .8227, .8306, .8333}, .6061};
  return {{.7156, .7646, .7383, .7002, .6473}, {.8401, .8758, .8684, .8486, .8202}, .7002};
}

MultilabelResult run_multilabel(const MultilabelOptions& options, const io::Json& arguments,
                                const std::string& resume_command) {
  return with_device(options.device,
                     [&]<class D>(D) { return run_multilabel_on<D>(options, arguments, resume_command); });
}

std::string compare_with_published(const std::string& model, const MultilabelResult& result) {
  const Scores published = published_scores(model), &obtained = result.scores;
  std::string out = "                      published   obtained   difference   majority\n";
  const auto line = [&](const std::string& what, double p, double o, double majority) {
    char buffer[128];
    std::snprintf(buffer, sizeof buffer, "%-20s %9.2f %%%9.2f %%%+11.2f %%%9.2f %%\n", what.c_str(), p * 100,
                  o * 100, (o - p) * 100, majority * 100);
    out += buffer;
  };
  for (int i = 0; i < 5; ++i)
    line(text("exact match at 0.", i + 1), published.exact_match[i], obtained.exact_match[i],
         result.baseline.exact_match[i]);
  for (int i = 0; i < 5; ++i)
    line(text("micro-F1 at 0.", i + 1), published.micro_f1[i], obtained.micro_f1[i],
         result.baseline.micro_f1[i]);
  line("argmax accuracy", published.argmax_accuracy, obtained.argmax_accuracy,
       result.baseline.argmax_accuracy);
  return out;
}

}  // namespace kdrama
