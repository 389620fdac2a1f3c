// The command line, words split at zero bytes. What is accepted lies in its range, and gives the same values
// when it is spelled out again.
#include "../support/arguments.hpp"
#include "fuzz.hpp"

namespace {

using test::Arguments;

bool parse(Arguments& arguments, const std::vector<std::string>& words) {
  std::vector<const char*> argv{"train"};
  for (const auto& word : words) {
    if (word == "--help" || word == "-h" || word == "--version") return false;  // these print
    argv.push_back(word.c_str());
  }
  auto flags = arguments.flags();
  flags.operands(arguments.files, "FILE", "images");
  return flags.parse(static_cast<int>(argv.size()), argv.data());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> words(1);
  for (std::size_t i = 0; i < size && words.size() < 64; ++i)
    if (data[i])
      words.back() += static_cast<char>(data[i]);
    else
      words.emplace_back();
  fuzz::run([&] {
    Arguments first, second;
    if (!parse(first, words)) return;
    fuzz::check(first.batch_size >= 1 && first.batch_size <= 4096 && first.epochs >= 0 && first.lr >= 0);
    fuzz::check(first.device == "cpu" || first.device == "cuda");
    fuzz::check(!first.limit || *first.limit >= 1);
    std::vector<std::string> again;
    for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::string>>{
             {"--batch-size=", kfer::text(first.batch_size)},
             {"--epochs=", kfer::text(first.epochs)},
             {"--seed=", kfer::text(first.seed)},
             {"--lr=", kfer::text(first.lr)},
             {"--device=", first.device},
             {"--output-dir=", first.output},
             {"--resume=", kfer::text(first.resume)},
             {"--shuffle=", kfer::text(first.shuffle)}})
      again.push_back(name + value);
    if (first.limit) again.push_back(kfer::text("--limit=", *first.limit));
    again.push_back("--");
    again.insert(again.end(), first.files.begin(), first.files.end());
    fuzz::check(parse(second, again));
    fuzz::check(first.batch_size == second.batch_size && first.epochs == second.epochs &&
                first.seed == second.seed && first.lr == second.lr && first.device == second.device &&
                first.output == second.output && first.resume == second.resume &&
                first.shuffle == second.shuffle && first.limit == second.limit);
  });
  return 0;
}
