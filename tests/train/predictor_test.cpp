// Trained weights from files at work on image files: what the model is, its labels, every step from the bytes
// of an image to probabilities, broken files in between.
#include "kfer/train/predictor.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <thread>

#include "io/support.hpp"
#include "kfer/io/image_write.hpp"
#include "kfer/kfer.hpp"

using namespace kfer;
using models::Activation;
using models::ClassifierOptions;
using test::throws_with;

namespace {

using Names = std::vector<std::string>;

models::ConvNet<> conv_net(std::int64_t classes = 3) {
  RandomStream random{.seed = 11};
  return {classes, random, {.kernel = 3, .image_size = 16}};
}

/// Waves whose phase depends on `which`.
io::Image picture(int height, int width, int which) {
  io::Image out{height, width, 3, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        out.pixels.push_back(
            static_cast<std::uint8_t>(127 + 120 * std::sin(0.3 * (x + c * which) + 0.2 * y * (1 + which))));
  return out;
}

void write_png(const std::string& path, const io::Image& image) {
  test::write(path, io::encode_png({image.height, image.width, 3, image.pixels}));
}

/// Files and weights that the cases share.
struct Files {
  test::TemporaryDirectory folder;
  std::string weights = folder / "weights.safetensors";
  std::vector<io::Image> pictures;
  Names paths;

  Files() {
    auto model = conv_net();
    save_weights(model, weights,
                 {{"labels", "moved,fearful,bored"},
                  {"activation", "sigmoid"},
                  {"kernel", "3"},
                  {"image_size", "16"},
                  {"epoch", "7"}});
    for (int i = 0; i < 11; ++i) {
      pictures.push_back(picture(9 + 7 * i, 40 - 3 * i, i));
      paths.push_back(folder / text(i, ".png"));
      write_png(paths.back(), pictures.back());
    }
  }

  std::string save(const std::string& name, const io::Metadata& metadata) const {
    auto model = conv_net();
    save_weights(model, folder / name, metadata);
    return folder / name;
  }
};

/// Logits of one image, by the model as it is.
template <class Model>
std::vector<double> logits(Model& model, const io::Image& image, int size) {
  const auto small = io::resize(image, {size, size});
  std::vector<float> planes;
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < size * size; ++i)
      planes.push_back(static_cast<float>(small.pixels[static_cast<std::size_t>(i * 3 + c)]) / 255.0f);
  NoGrad no_grad;
  set_training(model, false);
  const auto out =
      model(Variable<>(Tensor<>({1, 3, size, size}, std::span<const float>(planes)))).value().to_vector();
  return {out.begin(), out.end()};
}

std::vector<double> softmax_of(std::vector<double> x) {
  double sum = 0;
  for (auto& v : x) sum += v = std::exp(v);
  for (auto& v : x) v /= sum;
  return x;
}
std::vector<double> sigmoid_of(std::vector<double> x) {
  for (auto& v : x) v = 1 / (1 + std::exp(-v));
  return x;
}

double largest_difference(std::span<const float> a, std::span<const double> b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(std::isfinite(a[i]));
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

}  // namespace

TEST_CASE("predictions are the model's own probabilities of the resized image, in order") {
  const Files files;
  auto model = conv_net();
  for (const char* activation : {"sigmoid", "softmax"}) {
    const Predictor predict(files.weights, {.activation = activation}, {.batch_size = 4});
    const auto all = predict.files(files.paths);
    REQUIRE(all.size() == files.paths.size());
    std::vector<io::Image> pictures = files.pictures;
    const auto from_memory = predict.images(std::move(pictures));
    for (std::size_t i = 0; i < all.size(); ++i) {
      CHECK(all[i]);
      CHECK(all[i].path() == files.paths[i]);
      CHECK(all[i].error().empty());
      const auto raw = logits(model, files.pictures[i], 16);
      const auto expected = activation == std::string("softmax") ? softmax_of(raw) : sigmoid_of(raw);
      CHECK(largest_difference(all[i].probabilities(), expected) <= 2e-6);
      CHECK(std::ranges::equal(all[i].probabilities(), from_memory[i]));
    }
    CHECK(largest_difference(
              predict.file(files.paths[5]).probabilities(),
              std::vector<double>(all[5].probabilities().begin(), all[5].probabilities().end())) <= 1e-6);
    CHECK(predict.files({}).empty());
    CHECK(predict.images({}).empty());
  }
  CHECK(logits(model, files.pictures[0], 16) != logits(model, files.pictures[1], 16));
}

TEST_CASE("results do not depend on batches or threads") {
  const Files files;
  const auto expected = Predictor(files.weights, {}, {.batch_size = 64, .workers = 0}).files(files.paths);
  for (const std::int64_t batch : {1, 4, 11})
    for (const int workers : {0, 3}) {
      const auto got =
          Predictor(files.weights, {}, {.batch_size = batch, .workers = workers}).files(files.paths);
      REQUIRE(got.size() == expected.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        const auto p = expected[i].probabilities();
        REQUIRE(got[i].path() == files.paths[i]);
        REQUIRE(largest_difference(got[i].probabilities(), std::vector<double>(p.begin(), p.end())) <= 1e-6);
      }
    }
}

TEST_CASE("the most probable labels, and those of at least a probability") {
  const auto labels = std::make_shared<const Names>(Names{"a", "b", "c", "d"});
  const Prediction p("x.png", labels, {0.25f, 0.5f, 0.5f, 0.125f});
  const auto names = [](const std::vector<Score>& scores) {
    std::string out;
    for (const auto& [label, probability] : scores) out += text(label, ' ', probability, ' ');
    return out;
  };
  CHECK(names(p.top(0)).empty());
  CHECK(names(p.top(3)) == "b 0.5 c 0.5 a 0.25 ");
  CHECK(names(p.top(9)) == "b 0.5 c 0.5 a 0.25 d 0.125 ");
  CHECK(names(p.at_least(0.5f)) == "b 0.5 c 0.5 ");
  CHECK(names(p.at_least(0.51f)).empty());
  const Prediction broken("y.png", labels, std::make_exception_ptr(FormatError("why")));
  CHECK(!broken);
  CHECK(broken.error() == "why");
  CHECK(broken.top(2).empty());
  CHECK_THROWS_WITH_AS(broken.rethrow(), "why", FormatError);
}

TEST_CASE("broken files come as errors where they stand, and the stream goes on") {
  Files files;
  const auto add = [&](std::size_t at, const std::string& name, io::Bytes content) {
    test::write(files.folder / name, content);
    files.paths.insert(files.paths.begin() + static_cast<std::ptrdiff_t>(at), files.folder / name);
  };
  auto cut = io::read_file(files.paths[2]);
  cut.resize(cut.size() / 2);
  add(3, "cut.png", cut);
  add(5, "words.txt", io::as_bytes("no image"));
  add(9, "empty.jpg", {});
  files.paths.push_back(files.folder / "absent.png");
  files.paths.push_back(files.folder.path());
  const std::size_t broken[] = {3, 5, 9, 14, 15};
  for (const std::int64_t batch : {1, 2, 64})
    for (const bool pass_over : {false, true}) {
      const Predictor predict(files.weights, {}, {.batch_size = batch, .workers = 2});
      std::size_t next = 0;
      std::vector<Prediction> got;
      const auto counts = predict.stream(
          [&]() -> std::optional<ImageFile> {
            if (next == files.paths.size()) return std::nullopt;
            return ImageFile{files.paths[next++], pass_over};
          },
          [&](Prediction p) { got.push_back(std::move(p)); });
      CHECK(counts.predicted == 11);
      CHECK(counts.passed_over == (pass_over ? 1 : 0));  // words.txt; the others say that they are images
      CHECK(counts.broken == (pass_over ? 4 : 5));
      std::size_t k = 0;
      for (std::size_t i = 0; i < files.paths.size(); ++i) {
        if (pass_over && i == 5) continue;
        REQUIRE(k < got.size());
        const auto& p = got[k++];
        CAPTURE(p.path());
        CHECK(p.path() == files.paths[i]);
        const bool is_broken = std::ranges::find(broken, i) != std::end(broken);
        CHECK(static_cast<bool>(p) == !is_broken);
        CHECK(p.error().find(is_broken ? files.paths[i] : "") != std::string::npos);
        CHECK(p.probabilities().size() == (is_broken ? 0 : 3));
      }
      CHECK(k == got.size());
    }
  CHECK(throws_with<FormatError>([&] { Predictor(files.weights).files(files.paths); },
                                 {"cut.png", "truncated"}));
  CHECK(throws_with<IoError>([&] { Predictor(files.weights).file(files.folder / "absent.png"); },
                             {"absent.png"}));
  CHECK(throws_with<FormatError>(
      [&] { Predictor(files.weights, {}, {.limits = {.max_pixels = 20}}).file(files.paths[0]); },
      {"0.png", "at most 20"}));
  CHECK(throws_with<FormatError>(
      [&] { Predictor(files.weights, {}, {.max_file_bytes = 20}).file(files.paths[0]); },
      {"0.png", "at most 20"}));
}

TEST_CASE("what the source or the receiver of a stream throws ends it") {
  const Files files;
  const Predictor predict(files.weights, {}, {.batch_size = 2, .workers = 2});
  std::size_t next = 0, taken = 0;
  const auto endless = [&]() -> std::optional<ImageFile> {
    return ImageFile{files.paths[next++ % files.paths.size()]};
  };
  CHECK_THROWS_AS(predict.stream(endless,
                                 [&](const Prediction&) {
                                   if (++taken == 5) throw IoError("full");
                                 }),
                  IoError);
  CHECK(taken == 5);
  CHECK_THROWS_AS(
      predict.stream([]() -> std::optional<ImageFile> { throw IoError("list"); }, [](const Prediction&) {}),
      IoError);
}

TEST_CASE("photographs are turned upright before they are resized") {
  Files files;
  const auto upright = picture(30, 50, 4);
  const auto jpeg = io::encode_jpeg({30, 50, 3, upright.pixels}, 100);
  // The picture a quarter turn counter-clockwise, with the note to turn it back: orientation 6, big-endian.
  const auto stored = io::upright(upright, 8);
  auto turned = io::encode_jpeg({50, 30, 3, stored.pixels}, 100);
  const unsigned char note[] = {0xff, 0xe1, 0, 34,   'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8,
                                0,    1,    1, 0x12, 0,   3,   0,   0,   0, 1, 0,   6,   0, 0,  0, 0, 0, 0};
  const auto bytes = std::as_bytes(std::span(note));
  turned.insert(turned.begin() + 2, bytes.begin(), bytes.end());
  test::write(files.folder / "upright.jpg", jpeg);
  test::write(files.folder / "turned.jpg", turned);
  auto model = conv_net();
  for (float& w : std::span(model.fc.weight.mutable_value().mutable_data(),
                            static_cast<std::size_t>(model.fc.weight.numel())))
    w *= 20;  // so that pictures are told apart clearly
  save_weights(model, files.folder / "w", {{"labels", "a,b,c"}, {"activation", "sigmoid"}});
  const auto p =
      Predictor(files.folder / "w").files({files.folder / "upright.jpg", files.folder / "turned.jpg"});
  const auto expected = p[0].probabilities();
  CHECK(largest_difference(p[1].probabilities(), std::vector<double>(expected.begin(), expected.end())) <
        1e-2);
  CHECK(largest_difference(p[1].probabilities(), sigmoid_of(logits(model, stored, 16))) > 5e-2);
}

TEST_CASE("every classifier comes back from its file") {
  const test::TemporaryDirectory folder;
  const auto image = picture(50, 41, 1);
  const auto check = [&](auto model, int size, const io::Metadata& metadata) {
    const auto path = folder / text(model.name);
    save_weights(model, path, metadata);
    const Predictor predict(path);
    CHECK(predict.info().model.name == model.name);
    CHECK(predict.info().image_size == size);
    const auto p = predict.images({image});
    CHECK(largest_difference(p[0], softmax_of(logits(model, image, size))) <= 1e-5);
  };
  RandomStream random{.seed = 3};
  check(models::ConvNet<>(6, random, {.kernel = 5, .image_size = 24}), 24, {{"task", "6_basic_emo"}});
  check(models::AutoencoderClassifier<>(22, random, 32), 32, {{"task", "22_emo"}});
  check(models::ResNet50Classifier<>(2, random), 48,
        {{"labels", "yes,no"}, {"activation", "softmax"}, {"image_size", "48"}});
}

TEST_CASE("metadata tell what weights are of; options supply what they lack and go before them") {
  const Files files;
  const auto info = [&](const io::Metadata& metadata, const ClassifierOptions& options = {}) {
    return models::classifier_info(io::Safetensors::open(files.save("w", metadata)), options);
  };
  const auto full = Predictor(files.weights).info();
  CHECK(full.model.name == "conv_net");
  CHECK(full.labels == Names{"moved", "fearful", "bored"});
  CHECK(full.activation == Activation::sigmoid);
  CHECK(full.image_size == 16);
  CHECK(full.model.kernel == 3);
  CHECK(full.epoch == "7");
  const auto renamed = info({{"labels", "a,b,c"}, {"activation", "sigmoid"}},
                            {.labels = {"x", "y", "z"}, .activation = "softmax"});
  CHECK(renamed.labels == Names{"x", "y", "z"});
  CHECK(renamed.activation == Activation::softmax);
  CHECK(info({}, {.labels = {"x", "y", "z"}, .activation = "softmax"}).image_size == 16);

  // A label set has names and an activation.
  RandomStream random{.seed = 1};
  for (const auto* set : data::label_sets) {
    models::ConvNet<> model(static_cast<std::int64_t>(set->width()), random, {.kernel = 3, .image_size = 8});
    for (const bool noted : {true, false}) {
      save_weights(model, files.folder / "set",
                   noted ? io::Metadata{{"task", std::string(set->name)}} : io::Metadata{});
      const auto of_set = models::classifier_info(io::Safetensors::open(files.folder / "set"),
                                                  {.task = noted ? "" : std::string(set->name)});
      CHECK(std::ranges::equal(of_set.labels, set->names));
      CHECK(of_set.activation == (set->name == "multi-label" ? Activation::sigmoid : Activation::softmax));
    }
  }
}

TEST_CASE("what is missing or contradictory is named") {
  const Files files;
  const auto refused = [&](const io::Metadata& metadata, const ClassifierOptions& options,
                           const Names& words) {
    const auto path = files.save("w.safetensors", metadata);
    Names all = words;
    all.push_back(path);
    return throws_with<FormatError>([&] { Predictor(path, options); }, all);
  };
  const io::Metadata good{{"labels", "a,b,c"}, {"activation", "softmax"}};
  const auto with = [&](const char* key, const char* value) {
    auto out = good;
    out.emplace_back(key, value);
    return out;
  };
  CHECK_NOTHROW(Predictor(files.save("w.safetensors", good)));
  CHECK(refused({}, {}, {"do not say their", "'labels'", "'activation'", "option"}));
  CHECK(refused({{"labels", "a,b,c"}}, {}, {"do not say their 'activation'"}));
  CHECK(refused({{"activation", "softmax"}}, {}, {"do not say their 'labels'"}));
  CHECK(refused({{"activation", "relu"}, {"labels", "a,b,c"}}, {}, {"relu", "softmax or sigmoid"}));
  CHECK(refused({{"labels", "a,b"}, {"activation", "softmax"}}, {}, {"2 labels", "3 classes"}));
  CHECK(refused({{"labels", "a,,c"}, {"activation", "softmax"}}, {}, {"label 2 is empty"}));
  CHECK(refused({{"labels", "a,b,a"}, {"activation", "softmax"}}, {}, {"'a' is given twice"}));
  CHECK(refused({}, {.task = "multi-label"}, {"24 labels", "3 classes"}));
  CHECK(refused(with("image_size", "64"), {}, {"image_size", "64", "16"}));
  CHECK(refused(with("image_size", "many"), {}, {"image_size", "many"}));
  CHECK(refused(with("kernel", "5"), {}, {"kernel", "5", "3"}));
  CHECK(refused(good, {.image_size = 32}, {"32", "16"}));
  CHECK_THROWS_AS(Predictor(files.save("w", {{"task", "7_emo"}})), ValueError);
  CHECK_THROWS_AS(Predictor(files.folder / "none"), IoError);
  CHECK_THROWS_AS(Predictor(files.paths[0]), FormatError);  // a picture
  for (const std::int64_t size :
       {std::int64_t{0}, std::int64_t{65537}, std::numeric_limits<std::int64_t>::max()})
    CHECK_THROWS_AS(Predictor(files.weights, {}, {.batch_size = size}), ValueError);

  // Weights without any metadata, as PyTorch saves them.
  auto model = conv_net();
  std::vector<std::vector<float>> values;
  std::vector<io::NamedTensor> tensors;
  for (const auto& [name, value] : state_dict(model)) values.push_back(value.to_vector());
  std::size_t i = 0;
  for (const auto& [name, value] : state_dict(model))
    tensors.emplace_back(name, io::tensor_view(std::span<const float>(values[i++]), value.shape()));
  const auto foreign = files.folder / "foreign.safetensors";
  io::write_safetensors(foreign, tensors);
  CHECK(throws_with<FormatError>([&] { Predictor p(foreign); }, {"'labels'", "'activation'"}));
  const auto p =
      Predictor(foreign, {.labels = {"a", "b", "c"}, .activation = "sigmoid"}).file(files.paths[0]);
  CHECK(largest_difference(p.probabilities(), sigmoid_of(logits(model, files.pictures[0], 16))) <= 2e-6);

  // An autoencoder is no classifier; classes without weights are none to allocate for.
  RandomStream random{.seed = 2};
  models::Autoencoder<> autoencoder(random);
  save_weights(autoencoder, files.folder / "a");
  CHECK(throws_with<FormatError>([&] { Predictor p(files.folder / "a"); }, {"'autoencoder'", "classifier"}));
  const std::vector<float> bias(50'000);
  const std::vector<io::NamedTensor> hollow{{"backbone.layer1.0.conv3.weight", {"F32", {0, 1, 1, 1}, {}}},
                                            {"fc2.bias", io::tensor_view(std::span(bias), {50'000})},
                                            {"fc2.weight", {"F32", {0, 50'000}, {}}}};
  io::write_safetensors(files.folder / "hollow", hollow);
  CHECK(
      throws_with<FormatError>([&] { Predictor p(files.folder / "hollow"); }, {"fc2.weight", "[0, 50000]"}));
  io::write_safetensors(files.folder / "other", std::span(hollow).subspan(2));
  CHECK(throws_with<FormatError>([&] { Predictor p(files.folder / "other"); }, {"no model"}));
}

TEST_CASE("weights that make the model answer with no number are found") {
  const Files files;
  auto model = conv_net();
  model.fc.bias->mutable_value().mutable_data()[1] = std::nanf("");
  save_weights(model, files.folder / "nan", {{"labels", "a,b,c"}, {"activation", "softmax"}});
  CHECK_THROWS_AS(Predictor(files.folder / "nan").file(files.paths[0]), NumericError);
}

TEST_CASE("several threads use one predictor") {
  const Files files;
  const Predictor first(files.weights, {}, {.batch_size = 3, .workers = 1});
  const auto expected = first.files(files.paths);
  const Predictor predict(files.weights, {}, {.batch_size = 3, .workers = 1});  // its first calls are theirs
  std::vector<std::vector<Prediction>> got(3);
  std::vector<std::thread> threads;
  const int team = num_threads();  // each caller's own: the last bits depend on it
  for (auto& mine : got)
    threads.emplace_back([&] {
      set_num_threads(team);
      for (int i = 0; i < 5; ++i) mine = predict.files(files.paths);
    });
  for (auto& thread : threads) thread.join();
  for (const auto& mine : got) {
    REQUIRE(mine.size() == expected.size());
    for (std::size_t i = 0; i < mine.size(); ++i)
      CHECK(std::ranges::equal(mine[i].probabilities(), expected[i].probabilities()));
  }
}
