// Command lines: typed flags bound to variables whose values before are the defaults.
//
//   std::int64_t batch_size = 64;
//   Flags flags("train_multilabel", "Trains a model on ...");
//   flags.add("batch-size,b", batch_size, "images a step", {.min = 1});
//   if (!flags.parse(argc, argv)) return 0;  // --help was printed
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kfer/io/json.hpp"

namespace kfer {

/// What values a flag takes, beyond its type.
struct FlagLimits {
  std::optional<double> min = {}, max = {};
  std::vector<std::string> choices = {};
};

class Flags {
 public:
  Flags(std::string program, std::string about)
      : program_(std::move(program)), about_(std::move(about)), program_path_(program_) {}

  /// A flag "--name", or "--name" and "-n" if `names` is "name,n". `target` is a bool ("--name", "--no-name",
  /// "--name=false"), an integer, a floating number, a string, or an optional of those; it must outlive the
  /// flags.
  template <class T>
  Flags& add(std::string_view names, T& target, std::string help, FlagLimits limits = {}) {
    const auto comma = names.find(',');
    Flag flag;
    flag.name = names.substr(0, comma);
    if (comma != std::string_view::npos) flag.letter = names.at(comma + 1);
    require(!flag.name.empty() && !find(flag.name), "the flag '--", flag.name,
            "' is defined twice or has no name");
    flag.help = std::move(help);
    flag.limits = std::move(limits);
    flag.is_bool = std::is_same_v<T, bool>;
    flag.expected = expectation<T>(flag.limits);
    flag.initial = show(target);
    flag.set = [&target, limits = flag.limits](std::string_view value) {
      return assign(target, value, limits);
    };
    flag.value = [&target] { return json(target); };
    flags_.push_back(std::move(flag));
    return *this;
  }

  /// Takes what is no flag: file names and the like. Without it any such word is an error.
  Flags& operands(std::vector<std::string>& target, std::string name, std::string help) {
    operands_ = &target;
    operands_name_ = std::move(name);
    operands_help_ = std::move(help);
    return *this;
  }

  /// Sets the variables; false if the help was asked for (it is then on standard output). Throws UsageError
  /// naming an unknown flag (and the nearest known one), or the flag, the value and what was expected.
  bool parse(int argc, const char* const* argv) {
    if (argc > 0) program_path_ = argv[0];
    words_.assign(argv + std::min(argc, 1), argv + argc);
    const auto& words = words_;
    bool flags_over = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      if (flags_over || word.size() < 2 || word[0] != '-') {
        require<UsageError>(operands_ != nullptr, "unexpected operand '", word, "'; see --help");
        operands_->push_back(word);
        continue;
      }
      if (word == "--") {
        flags_over = true;
        continue;
      }
      if (word == "--help" || word == "-h") {
        std::fputs(help().c_str(), stdout);
        return false;
      }
      const bool is_long = word[1] == '-';
      const auto equals = is_long ? word.find('=') : std::string::npos;
      std::string name =
          is_long ? word.substr(2, equals == std::string::npos ? equals : equals - 2) : word.substr(1, 1);
      bool negated = false;
      Flag* flag = is_long ? find(name) : find_letter(name[0]);
      if (!flag && is_long && name.starts_with("no-")) {
        flag = find(name.substr(3));
        negated = flag && flag->is_bool;
        if (!negated) flag = nullptr;
      }
      require<UsageError>(flag != nullptr, "unknown flag '", is_long ? text("--", name) : word, "'",
                          suggestion(name));
      std::optional<std::string> value;
      if (equals != std::string::npos) value = word.substr(equals + 1);
      if (!is_long && word.size() > 2) value = word.substr(word[2] == '=' ? 3 : 2);
      if (negated) {
        require<UsageError>(!value, "--no-", flag->name, " takes no value");
        value = "false";
      } else if (!value && flag->is_bool) {
        value = "true";
      } else if (!value) {
        require<UsageError>(i + 1 < words.size(), "--", flag->name, " needs a value: ", flag->expected);
        value = words[++i];
      }
      require<UsageError>(flag->set(*value), "--", flag->name, ": expected ", flag->expected, ", got '",
                          *value, "'");
    }
    return true;
  }

  /// What --help prints.
  std::string help() const {
    std::vector<std::pair<std::string, std::string>> lines;
    for (const Flag& flag : flags_) {
      std::string left = flag.letter ? text("-", flag.letter, ", ") : std::string("    ");
      left += text("--", flag.name, flag.is_bool ? "" : " VALUE");
      std::string right = flag.help;
      if (!flag.limits.choices.empty()) right += text(" (", flag.expected, ")");
      if (!flag.initial.empty()) right += text(" [", flag.initial, "]");
      lines.emplace_back(std::move(left), std::move(right));
    }
    lines.emplace_back("-h, --help", "print this and exit");
    std::size_t width = 0;
    for (const auto& line : lines) width = std::max(width, line.first.size());
    std::string out =
        text("Usage: ", program_, " [FLAGS]", operands_ ? text(' ', operands_name_) : "", "\n", about_, "\n");
    if (operands_) out += text("\n  ", operands_name_, "  ", operands_help_, "\n");
    out += "\nFlags, with their defaults in brackets:\n";
    for (const auto& [left, right] : lines)
      out += text("  ", left, std::string(width - left.size() + 2, ' '), right, "\n");
    return out;
  }

  /// All flags with their values now, as an object; integers that JSON's reader would not take are strings.
  io::Json to_json() const {
    io::Json out = io::Json::object();
    for (const Flag& flag : flags_) out[flag.name] = flag.value();
    return out;
  }

  /// The command line that was parsed, quoted for a shell, with `extra` at its end unless it is there
  /// already, and without the flag `left_out`, with a value ("--flag=true") or not.
  std::string command(std::string_view extra = "", std::string_view left_out = "") const {
    std::string out = quoted(program_path_);
    for (const auto& word : words_)
      if (left_out.empty() || word.substr(0, word.find('=')) != left_out) out += text(' ', quoted(word));
    if (!extra.empty() && std::ranges::find(words_, extra) == words_.end()) out += text(' ', extra);
    return out;
  }

 private:
  struct Flag {
    std::string name, help, expected, initial;
    char letter = 0;
    bool is_bool = false;
    FlagLimits limits;
    std::function<bool(std::string_view)> set;
    std::function<io::Json()> value;
  };

  template <class T>
  struct Optional : std::false_type {};
  template <class T>
  struct Optional<std::optional<T>> : std::true_type {};

  template <class T>
  static bool assign(T& target, std::string_view value, const FlagLimits& limits) {
    if constexpr (Optional<T>::value) {
      typename T::value_type inner{};
      if (!assign(inner, value, limits)) return false;
      target = std::move(inner);
      return true;
    } else if constexpr (std::is_same_v<T, bool>) {
      const bool yes = value == "true" || value == "1", no = value == "false" || value == "0";
      if (yes || no) target = yes;
      return yes || no;
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!limits.choices.empty() && std::ranges::find(limits.choices, value) == limits.choices.end())
        return false;
      target = value;
      return true;
    } else {
      static_assert(std::integral<T> || std::floating_point<T>,
                    "a flag is a bool, a number, a string or an optional");
      T number{};
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc() || end != value.data() + value.size()) return false;
      if constexpr (std::floating_point<T>)
        if (!std::isfinite(number)) return false;
      const auto wide = static_cast<double>(number);
      if ((limits.min && wide < *limits.min) || (limits.max && wide > *limits.max)) return false;
      target = number;
      return true;
    }
  }

  template <class T>
  static std::string expectation(const FlagLimits& limits) {
    if constexpr (Optional<T>::value) {
      return expectation<typename T::value_type>(limits);
    } else if constexpr (std::is_same_v<T, bool>) {
      return "true or false";
    } else if constexpr (std::is_same_v<T, std::string>) {
      std::string out;
      for (std::size_t i = 0; i < limits.choices.size(); ++i)
        out += text(i == 0 ? "" : i + 1 == limits.choices.size() ? " or " : ", ", limits.choices[i]);
      return out.empty() ? "a string" : out;
    } else {
      std::string out = std::integral<T> ? "an integer" : "a number";
      if (limits.min && limits.max) return out + text(" from ", *limits.min, " to ", *limits.max);
      if (limits.min) return out + text(", at least ", *limits.min);
      if (limits.max) return out + text(", at most ", *limits.max);
      if (std::is_unsigned_v<T>) return out + ", at least 0";
      return out;
    }
  }

  template <class T>
  static io::Json json(const T& value) {
    if constexpr (Optional<T>::value)
      return value ? json(*value) : io::Json();
    else if constexpr (std::unsigned_integral<T> && !std::is_same_v<T, bool>)
      return std::in_range<std::int64_t>(value) ? io::Json(value) : io::Json(text(value));
    else
      return io::Json(value);
  }
  template <class T>
  static std::string show(const T& value) {
    if constexpr (Optional<T>::value)
      return value ? show(*value) : std::string();
    else if constexpr (std::is_same_v<T, bool>)
      return value ? "on" : "off";
    else
      return text(value);
  }

  Flag* find(std::string_view name) {
    for (Flag& flag : flags_)
      if (flag.name == name) return &flag;
    return nullptr;
  }
  Flag* find_letter(char letter) {
    for (Flag& flag : flags_)
      if (flag.letter == letter) return &flag;
    return nullptr;
  }

  /// Insertions, deletions and substitutions between two words (Levenshtein).
  static std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
      std::size_t diagonal = std::exchange(row[0], i);
      for (std::size_t j = 1; j <= b.size(); ++j) {
        const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
      }
    }
    return row[b.size()];
  }
  std::string suggestion(std::string_view name) const {
    const Flag* nearest = nullptr;
    std::size_t least = std::max<std::size_t>(2, name.size() / 3) + 1;
    for (const Flag& flag : flags_)
      if (const auto d = distance(name, flag.name); d < least && d < flag.name.size()) {
        least = d;
        nearest = &flag;
      }
    return nearest ? text("; did you mean '--", nearest->name, "'?") : std::string("; see --help");
  }

  static std::string quoted(const std::string& word) {
    const bool plain = !word.empty() && std::ranges::all_of(word, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             std::string_view("-_=./,:+@%").find(c) != std::string_view::npos;
    });
    if (plain) return word;
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
  }

  std::string program_, about_, program_path_;
  std::vector<std::string> words_;
  std::vector<Flag> flags_;
  std::vector<std::string>* operands_ = nullptr;
  std::string operands_name_, operands_help_;
};

}  // namespace kfer
