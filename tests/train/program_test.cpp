// The pieces of a program: flags, exit codes, signals, progress, history, early stopping.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "kfer/train/early_stopping.hpp"
#include "kfer/train/flags.hpp"
#include "kfer/train/history.hpp"
#include "kfer/train/interrupt.hpp"
#include "kfer/train/progress.hpp"
#include "kfer/train/run.hpp"
#include "support/arguments.hpp"

using namespace kfer;

namespace {

using test::Arguments;

std::string error_of(std::vector<const char*> words) {
  Arguments arguments;
  try {
    arguments.parse(std::move(words));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("flags in every form") {
  Arguments a;
  CHECK(a.parse({}));
  CHECK(a.batch_size == 64);
  CHECK(!a.limit);
  CHECK(a.parse(
      {"--batch-size", "32", "--lr=0.25", "-o", "here", "--resume", "--no-shuffle", "--limit", "10"}));
  CHECK(a.batch_size == 32);
  CHECK(a.lr == 0.25);
  CHECK(a.output == "here");
  CHECK(a.resume);
  CHECK(!a.shuffle);
  CHECK(a.limit == 10);
  CHECK(a.parse(
      {"-b16", "--resume=false", "--device", "cuda", "--lr", "1e-3", "--seed", "18446744073709551615"}));
  CHECK(a.batch_size == 16);
  CHECK(!a.resume);
  CHECK(a.device == "cuda");
  CHECK(a.seed == 18446744073709551615u);
  CHECK(a.parse({"-b=8", "--output-dir="}));
  CHECK(a.batch_size == 8);
  CHECK(a.output.empty());

  Flags flags = a.flags();
  flags.operands(a.files, "FILE", "images");
  const char* words[] = {"train", "a.jpg", "--epochs", "3", "--", "--b.jpg", "-"};
  CHECK(flags.parse(7, words));
  CHECK(a.files == std::vector<std::string>{"a.jpg", "--b.jpg", "-"});
  CHECK(a.epochs == 3);
}

TEST_CASE("wrong flags are named, with what was expected and the nearest flag") {
  CHECK(error_of({"--bach-size", "3"}) == "unknown flag '--bach-size'; did you mean '--batch-size'?");
  CHECK(error_of({"--no-shufle"}).starts_with("unknown flag '--no-shufle'"));
  CHECK(error_of({"--wholly-different"}) == "unknown flag '--wholly-different'; see --help");
  CHECK(error_of({"-x"}) == "unknown flag '-x'; see --help");
  CHECK(error_of({"--batch-size", "many"}) == "--batch-size: expected an integer from 1 to 4096, got 'many'");
  CHECK(error_of({"-b", "0"}) == "--batch-size: expected an integer from 1 to 4096, got '0'");
  CHECK(error_of({"-b", "1.5"}) == "--batch-size: expected an integer from 1 to 4096, got '1.5'");
  CHECK(error_of({"-b", "99999999999999999999"}).find("got '99999999999999999999'") != std::string::npos);
  CHECK(error_of({"--epochs", "-1"}) == "--epochs: expected an integer, at least 0, got '-1'");
  CHECK(error_of({"--seed", "-1"}) == "--seed: expected an integer, at least 0, got '-1'");
  CHECK(error_of({"--lr", "nan"}) == "--lr: expected a number, at least 0, got 'nan'");
  CHECK(error_of({"--lr", "inf"}) == "--lr: expected a number, at least 0, got 'inf'");
  CHECK(error_of({"--lr", "1e999"}) == "--lr: expected a number, at least 0, got '1e999'");
  CHECK(error_of({"--lr", "1e-3x"}) == "--lr: expected a number, at least 0, got '1e-3x'");
  CHECK(error_of({"--lr", ""}) == "--lr: expected a number, at least 0, got ''");
  CHECK(error_of({"--device", "gpu"}) == "--device: expected cpu or cuda, got 'gpu'");
  CHECK(error_of({"--resume=maybe"}) == "--resume: expected true or false, got 'maybe'");
  CHECK(error_of({"--no-resume=true"}) == "--no-resume takes no value");
  CHECK(error_of({"--no-lr"}) == "unknown flag '--no-lr'; see --help");
  CHECK(error_of({"--lr"}) == "--lr needs a value: a number, at least 0");
  CHECK(error_of({"stray"}) == "unexpected operand 'stray'; see --help");
}

TEST_CASE("help, JSON and the command line of a program") {
  Arguments a;
  Flags flags = a.flags();
  const auto help = flags.help();
  CHECK(help.find("Usage: train [FLAGS]\n") == 0);
  CHECK(help.find("  -b, --batch-size VALUE  images a step [64]\n") != std::string::npos);
  CHECK(help.find("--device VALUE      where to compute (cpu or cuda) [cpu]\n") != std::string::npos);
  CHECK(help.find("--shuffle           draw images in random order [on]\n") != std::string::npos);
  const char* words[] = {"train", "--output-dir", "it's here", "-b", "2"};
  CHECK(flags.parse(5, words));
  CHECK(flags.command("--resume") == "train --output-dir 'it'\\''s here' -b 2 --resume");
  CHECK(flags.command() == "train --output-dir 'it'\\''s here' -b 2");
  CHECK(flags.command("--resume", "-b") == "train --output-dir 'it'\\''s here' 2 --resume");
  const auto json = flags.to_json();
  CHECK(json.at("batch-size").as_int() == 2);
  CHECK(json.at("output-dir").as_string() == "it's here");
  CHECK(json.at("limit").is_null());
  CHECK(json.at("lr").as_double() == 1e-5);
  CHECK(json.at("seed").as_int() == 46);
  a.seed = 18446744073709551615u;
  CHECK(flags.to_json().at("seed").as_string() == "18446744073709551615");
  CHECK_THROWS_AS(flags.add("lr", a.lr, "again"), ValueError);
}

TEST_CASE("exit codes") {
  CHECK(run_program("p", [] { return 0; }) == 0);
  CHECK(run_program("p", [] { return 130; }) == 130);
  CHECK(run_program("p", []() -> int { throw UsageError("expected in the output of this test"); }) == 2);
  CHECK(run_program("p", []() -> int { throw std::runtime_error("expected in the output of this test"); }) ==
        1);
}

TEST_CASE("an interrupt is noted, and the handlers before come back") {
  static volatile std::sig_atomic_t seen = 0;
  const auto old = std::signal(SIGTERM, [](int) { seen = seen + 1; });
  {
    Interrupt interrupt;
    CHECK(!interrupt);
    ::raise(SIGTERM);
    CHECK(interrupt);
    CHECK(interrupt.signal() == SIGTERM);
    CHECK(seen == 0);
  }
  ::raise(SIGTERM);
  CHECK(seen == 1);
  Interrupt fresh;
  CHECK(!fresh);
  std::signal(SIGTERM, old);
}

TEST_CASE("durations, numbers and plain progress") {
  CHECK(format_duration(7.4) == "0:07");
  CHECK(format_duration(754) == "12:34");
  CHECK(format_duration(3723) == "1:02:03");
  CHECK(format_duration(NAN) == "-:--");
  CHECK(format_number(0.123456) == "0.1235");
  std::FILE* file = std::tmpfile();
  REQUIRE(file);
  {
    Progress progress(file, "epoch", 5);
    for (int i = 0; i < 5; ++i) progress.step([] { return std::string("loss 1"); });
  }
  CHECK(std::ftell(file) == 0);  // no terminal and no half minute: not a line
  std::fclose(file);
  Progress silent(nullptr, "epoch", 5);
  silent.step([] { return std::string(); });
}

TEST_CASE("on a terminal a bar is drawn in place and taken away") {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE(::grantpt(terminal) == 0);
  REQUIRE(::unlockpt(terminal) == 0);
  std::FILE* out = std::fopen(::ptsname(terminal), "w");
  REQUIRE(out);
  {
    Progress progress(out, "epoch 1/2", 4, 1);
    progress.step([] { return std::string("too early to be drawn"); });
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    progress.step([] { return std::string("loss 0.25"); });
  }
  std::string drawn(4096, ' ');
  const auto n = ::read(terminal, drawn.data(), drawn.size());
  REQUIRE(n > 0);
  drawn.resize(static_cast<std::size_t>(n));
  CHECK(drawn.starts_with("\repoch 1/2 [==================      ] 3/4  "));
  CHECK(drawn.find("  loss 0.25") != std::string::npos);
  CHECK(drawn.find("too early") == std::string::npos);
  CHECK(drawn.ends_with(" \r"));
  std::fclose(out);
  ::close(terminal);
}

TEST_CASE("a history is a table whose columns stay") {
  History history;
  history.append({{"loss", 0.1}, {"val_loss", 1.0 / 3}});
  history.append({{"loss", NAN}, {"val_loss", 1e-300}});
  CHECK(history.csv() == "epoch,loss,val_loss\n1,0.1,0.3333333333333333\n2,nan,1e-300\n");
  CHECK_THROWS_AS(history.append({{"loss", 1}}), ValueError);
  CHECK(history.size() == 2);
  CHECK_THROWS_AS(history.restore({"a"}, {{1, 2}}), FormatError);
  CHECK_THROWS_AS(history.save("/nonexistent-directory/results.csv"), IoError);
}

TEST_CASE("early stopping") {
  EarlyStopping never;
  for (int i = 0; i < 100; ++i) never.update(i, i);
  CHECK(!never.should_stop());
  EarlyStopping two({.patience = 2});
  CHECK(!two.update(0, NAN));
  CHECK(two.update(1, 5));
  CHECK(!two.update(2, 5));
  CHECK(two.update(3, 4.9));
  CHECK(!two.update(4, 6));
  CHECK(!two.should_stop());
  CHECK(!two.update(5, NAN));
  CHECK(two.should_stop());
  CHECK(two.state.best_epoch == 3);
  CHECK_THROWS_AS(EarlyStopping({.patience = -1}), ValueError);
}
