// The report: what it says is right, it is a whole page whatever it is given, and nothing in it can become
// markup.
#include "kfer/train/report.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "kfer/io/image.hpp"
#include "train/report_pages.hpp"
#include "train/tiny.hpp"

using namespace kfer;
using namespace pages;

namespace {

/// What is wrong with the nesting of the page's elements and its characters; "" if nothing is.
std::string problem_of(const std::string& page) {
  const std::set<std::string> empty{"meta", "img", "!doctype"};
  std::vector<std::string> open;
  for (std::size_t at = 0; at < page.size();) {
    const auto n = io::detail::utf8_sequence(std::string_view(page).substr(at));
    if (n == 0) return text("byte ", at, " is not UTF-8");
    if (page[at] != '<') {
      at += n;
      continue;
    }
    // A tag: its name, then attributes with quoted values, up to '>'.
    std::size_t end = at + 1;
    for (bool quoted = false; end < page.size() && (quoted || page[end] != '>'); ++end) {
      if (page[end] == '"') quoted = !quoted;
      if (page[end] == '<') return text("'<' inside of a tag at byte ", at);
    }
    const std::string tag = page.substr(at + 1, end - at - 1);
    const bool closes = tag.starts_with('/'), alone = tag.ends_with('/');
    const std::string name = tag.substr(closes, tag.find_first_of(" \n/", closes) - closes);
    at = end + 1;
    if (closes) {
      if (open.empty() || open.back() != name)
        return text("</", name, "> closes what is not open, byte ", at);
      open.pop_back();
    } else if (!alone && !empty.contains(name)) {
      open.push_back(name);
      if (name == "style") at = page.find("</style>", at);
    }
  }
  return open.empty() ? "" : text("<", open.back(), "> is not closed");
}

std::size_t count(const std::string& page, std::string_view what) {
  std::size_t n = 0;
  for (std::size_t at = page.find(what); at != std::string::npos; at = page.find(what, at + 1)) ++n;
  return n;
}
bool contains(const std::string& page, std::string_view what) {
  return page.find(what) != std::string::npos;
}

/// The part of the page with this id.
std::string section(const std::string& page, const std::string& id) {
  const auto begin = page.find("<section id=\"" + id + "\"");
  REQUIRE_MESSAGE(begin != std::string::npos, id);
  return page.substr(begin, page.find("</section>", begin) - begin);
}

/// The text of the table row whose first cell is `name`, cells separated by '|'.
std::string row_of(const std::string& part, const std::string& name) {
  const auto begin = part.find("<tr><th scope=\"row\">" + name + "</th>");
  REQUIRE_MESSAGE(begin != std::string::npos, name);
  const auto row = std::string_view(part).substr(begin, part.find("</tr>", begin) - begin);
  std::string out;
  for (std::size_t at = 0; at < row.size(); ++at) {
    if (row.substr(at).starts_with("</t")) out += '|';
    if (row[at] == '<')
      at = row.find('>', at);
    else if (row.substr(at).starts_with("\u00a0"))
      out += ' ', ++at;
    else
      out += row[at];
  }
  return out;
}

std::vector<std::uint8_t> decode_base64(std::string_view in) {
  std::vector<std::uint8_t> out;
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : in) {
    if (c == '=') break;
    const int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                                             : 63;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    if ((have += 6) >= 8) out.push_back(static_cast<std::uint8_t>(bits >> (have -= 8)));
  }
  return out;
}

std::string base64_of(std::string_view in) {
  return report::base64(io::as_bytes(in));
}

/// Four test images of three classes; the model confuses the last.
RunReport small_report() {
  RunReport run{.title = "small", .summary = "made up"};
  run.label_names = {"a", "b", "c"};
  run.probabilities = {0.8f, 0.1f, 0.1f, 0.2f, 0.7f, 0.1f, 0.6f, 0.3f, 0.1f, 0.5f, 0.2f, 0.3f};
  run.labels = {1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1};
  return run;
}

}  // namespace

TEST_CASE("text of a page is escaped, and what is not UTF-8 replaced") {
  CHECK(report::escaped("<a href=\"x\">'&'</a>") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  CHECK(report::escaped("\ud654\ub0a8 \U0001f600") == "\ud654\ub0a8 \U0001f600");
  CHECK(report::escaped(std::string_view("\xff\xc3(\0\x1b\n", 6)) == "\ufffd\ufffd(\ufffd\ufffd\n");
  using namespace kfer::report;
  CHECK(Html("<b>"_html, "<i>", 3, Html("<u>"_html)).str() == "<b>&lt;i&gt;3<u>");
}

TEST_CASE("base64 of the test vectors of RFC 4648") {
  CHECK(base64_of("") == "");
  CHECK(base64_of("f") == "Zg==");
  CHECK(base64_of("fo") == "Zm8=");
  CHECK(base64_of("foo") == "Zm9v");
  CHECK(base64_of("foob") == "Zm9vYg==");
  CHECK(base64_of("fooba") == "Zm9vYmE=");
  CHECK(base64_of("foobar") == "Zm9vYmFy");
  CHECK(base64_of("\xff\xfe\xfd") == "//79");
}

TEST_CASE("numbers as they are shown") {
  CHECK(report::fixed(0.125, 2) == "0.12");
  CHECK(report::fixed(-3.14159, 3) == "\u22123.142");
  CHECK(report::fixed(3.5, 1, true) == "+3.5");
  CHECK(report::fixed(-0.0001, 2, true) == "0.00");
  CHECK(report::fixed(NAN, 2) == "NaN");
  CHECK(report::fixed(-INFINITY, 2) == "\u2212\u221e");
  CHECK(report::fixed(1e300, 99).size() == 314);
  CHECK(report::percent(0.83694) == "83.69\u00a0%");
}

TEST_CASE("ticks are round, within the axis and told apart") {
  using report::tick_labels, report::ticks;
  CHECK(tick_labels(ticks(0, 1, 5)) == std::vector<std::string>{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"});
  CHECK(tick_labels(ticks(1, 34, 6, true)) == std::vector<std::string>{"10", "20", "30"});
  CHECK(tick_labels(ticks(1, 2, 6, true)) == std::vector<std::string>{"1", "2"});
  CHECK(tick_labels(ticks(8.4e-6, 1e-5, 4)) == std::vector<std::string>{"8.5e-6", "9e-6", "9.5e-6", "1e-5"});
  CHECK(tick_labels(ticks(-2e6, 2e6, 4)) ==
        std::vector<std::string>{"\u22122e6", "\u22121e6", "0", "1e6", "2e6"});
  CHECK(ticks(0, NAN, 5).empty());
  CHECK(ticks(3, 3, 5).empty());
  for (const double scale : {1e-90, 1e-7, 0.3, 7.0, 1e5, 1e90}) {
    CAPTURE(scale);
    const auto values = ticks(1.01 * scale, 1.07 * scale, 5);
    CHECK(values.size() >= 3);
    CHECK(values.size() <= 8);
    CHECK(values.front() >= 1.0099 * scale);
    CHECK(values.back() <= 1.0701 * scale);
    const auto labels = tick_labels(values);
    CHECK(std::set<std::string>(labels.begin(), labels.end()).size() == values.size());
  }
}

TEST_CASE("thinning keeps lowest and highest, order, and gaps") {
  std::vector<std::pair<double, double>> points;
  for (int i = 0; i < 5000; ++i) points.emplace_back(i, i == 1234 ? 50 : i == 4321 ? -50 : std::sin(i));
  const auto few = report::thinned(points, 400);
  CHECK(few.size() <= 400);
  CHECK(few.size() >= 200);
  CHECK(std::is_sorted(few.begin(), few.end()));
  CHECK(std::count(few.begin(), few.end(), std::pair<double, double>(1234, 50)) == 1);
  CHECK(std::count(few.begin(), few.end(), std::pair<double, double>(4321, -50)) == 1);
  for (int i = 2000; i < 3000; ++i) points[static_cast<std::size_t>(i)].second = NAN;
  const auto gap = report::thinned(points, 400);
  CHECK(std::any_of(gap.begin(), gap.end(), [](const auto& p) { return std::isnan(p.second); }));
  CHECK(report::thinned({{1, 2}}, 400).size() == 1);
}

TEST_CASE("a chart's paths hold finite numbers inside of it, whatever the values") {
  for (const auto& values : std::vector<std::vector<double>>{{},
                                                             {1},
                                                             {NAN},
                                                             {NAN, INFINITY, -INFINITY},
                                                             {3, 3, 3},
                                                             {-1e308, 1e308, 1},
                                                             {0, NAN, 1, NAN, 2},
                                                             {1e-300, 2e-300},
                                                             {5e99, -5e99},
                                                             std::vector<double>(1000, 0.1)}) {
    report::Series series{"x", {}};
    for (std::size_t i = 0; i < values.size(); ++i) series.points.emplace_back(i + 1.0, values[i]);
    const auto chart = report::line_chart({.title = "t",
                                           .x_name = "epoch",
                                           .series = {series},
                                           .mark = 1,
                                           .mark_name = "best",
                                           .whole_x = true});
    CHECK(problem_of(chart.str()) == "");
    // All coordinates; the texts of tooltips say "nan" as they are.
    const std::string& svg = chart.str();
    for (const std::string name : {"d", "x", "y", "cx", "cy", "width", "height", "r"})
      for (std::size_t at = svg.find(' ' + name + "=\""); at != std::string::npos;
           at = svg.find(' ' + name + "=\"", at + 1)) {
        const auto begin = at + name.size() + 3;
        std::string content = svg.substr(begin, svg.find('"', begin) - begin);
        CAPTURE(content);
        CHECK(content.find_first_not_of("MLHVZh0123456789. -") == std::string::npos);
        for (char& c : content)
          if (std::isalpha(static_cast<unsigned char>(c))) c = ' ';
        std::stringstream numbers(content);
        for (double number; numbers >> number;) {
          CHECK(number >= 0);
          CHECK(number <= 480);
        }
        CHECK(numbers.eof());
      }
  }
}

TEST_CASE("a small one-label run, by hand") {
  auto run = small_report();
  run.train_labels = {1, 0, 0, 1, 0, 0, 0, 1, 0};
  const auto page = report_html(run);
  CHECK(problem_of(page) == "");
  CHECK(contains(page, "75.00\u00a0%"));                     // accuracy: 3 of 4
  CHECK(contains(page, "66.67\u00a0%"));                     // UAR: (1 + 1 + 0) / 3
  CHECK(contains(page, "majority baseline: 50.00\u00a0%"));  // always a: 2 of 4
  const auto confusion = section(page, "confusion");
  CHECK(contains(confusion, "title=\"true c, predicted a: 1 of 1\""));
  CHECK(contains(confusion, "title=\"true a, predicted a: 2 of 2\""));
  CHECK(row_of(confusion.substr(confusion.find("<h3>")), "c") == "c|a|1|100.0 %|");  // the one confusion
  const auto labels = section(page, "labels");
  // training, test, TP, FP, FN, TN, precision, recall, F1, AP
  CHECK(row_of(labels, "a") == "a|2|2|2|1|0|1|0.667|1.000|0.800|1.000||");
  CHECK(row_of(labels, "c") == "c|0|1|0|0|1|3|\u2013|0.000|0.000|1.000||");
  CHECK(!contains(page, "id=\"thresholds\""));
  CHECK(!contains(page, "id=\"cooccurrence\""));
  CHECK(!contains(page, "id=\"samples\""));
  CHECK(!contains(page, "id=\"curves\""));
}

TEST_CASE("a small multi-label run, by hand") {
  auto run = small_report();
  run.multi_label = true;
  run.labels = {1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0};
  run.threshold = 0.55f;
  const auto page = report_html(run);
  CHECK(problem_of(page) == "");
  // At 0.55: {a} right, {b} misses a, {a} right, {} right.
  CHECK(contains(page, "75.00\u00a0%"));
  CHECK(row_of(section(page, "labels"), "a") == "a|3|2|0|1|1|1.000|0.667|0.800|0.917||");
  CHECK(row_of(section(page, "labels"), "c") == "c|0|0|0|0|4|\u2013|\u2013|\u2013|\u2013||");
  // At 0.5: {a}, {b}, {a}, {a}: two of four; TP 3, FP 1, FN 1; F1 of a 2/3, of b 1, of c 0.
  CHECK(row_of(section(page, "thresholds"), "0.5") == "0.5|50.00 %|0.7500|0.5556|");
  CHECK(contains(section(page, "precision-recall"), "1 of 3 labels occur in no test image"));
  CHECK(contains(section(page, "cooccurrence"), "title=\"a with b: 1 of 3\""));
  CHECK(contains(section(page, "cooccurrence"), "Test images that carry"));
  CHECK(!contains(page, "id=\"confusion\""));
}

TEST_CASE("the area under a drawn precision-recall curve is the average precision") {
  const auto run = made_report(data::multi_label, true, 2000);
  const metrics::Predictions p(run.probabilities, run.labels, 24);
  const auto curve = metrics::micro_precision_recall_curve(p);
  for (const double resolution : {0.0, 0.004, 0.01}) {
    const auto drawn = report::recall_precision(curve, resolution);
    double area = 0;
    for (std::size_t i = 1; i < drawn.size(); ++i)
      area += (drawn[i].first - drawn[i - 1].first) * (drawn[i].second + drawn[i - 1].second) / 2;
    CHECK(std::abs(area - curve.average_precision()) <= resolution + 1e-12);
    CHECK(drawn.back().first == 1);
    if (resolution > 0) CHECK(drawn.size() < 4 / resolution);
  }
}

TEST_CASE("published, obtained and difference as given; no value is a dash") {
  const auto page = report_html(made_report(data::basic6, false, 200));
  const auto results = section(page, "results");
  CHECK(row_of(results, "exact match at 0.5, %") == "exact match at 0.5, %|68.03|71.25|+3.22|19.58|");
  CHECK(row_of(results, "argmax accuracy, %") == "argmax accuracy, %|60.61|72.92|\u221212.31|\u2013|");
  CHECK(row_of(section(page, "arguments"), "lr") == "lr|1e-05|");
  CHECK(row_of(section(page, "facts"), "time") == "time|12:34|");
}

TEST_CASE("an image of a report holds the sample's pixels") {
  const auto run = made_report(data::basic6, false, 200);
  const auto page = section(report_html(run), "samples");
  constexpr std::string_view prefix = "src=\"data:image/png;base64,";
  CHECK(count(page, prefix) == run.samples.size());
  std::size_t at = 0;
  for (const auto& sample : run.samples) {
    at = page.find(prefix, at) + prefix.size();
    const auto file = decode_base64(std::string_view(page).substr(at, page.find('"', at) - at));
    const auto image = io::decode_image(std::as_bytes(std::span(file)));
    CHECK(image.height == 64);
    CHECK(image.pixels == sample.pixels);
  }
}

TEST_CASE("right and wrong of a sample are told in words") {
  auto run = small_report();
  const std::vector<std::uint8_t> grey(12, 128);
  run.samples = {{grey, 2, 2, "first", {1, 0, 0}, {0.8f, 0.1f, 0.1f}}};
  auto samples = section(report_html(run), "samples");
  CHECK(contains(samples, "\u2713 right"));
  CHECK(!contains(samples, "\u2717 wrong"));
  run.samples[0].probabilities = {0.2f, 0.1f, 0.7f};
  samples = section(report_html(run), "samples");
  CHECK(contains(samples, "\u2717 wrong"));
  CHECK(contains(samples, ">missed</span> a</span><span>0.20<"));
  CHECK(contains(samples, ">false</span> c</span><span>0.70<"));
  run.samples[0].labels.clear();  // not known: no verdict
  samples = section(report_html(run), "samples");
  CHECK(!contains(samples, "verdict"));
  CHECK(contains(samples, "<span>c</span><span>0.70<"));
}

TEST_CASE("the best epoch is the run's, or that of the lowest finite validation loss") {
  RunReport run{.title = "t", .summary = ""};
  CHECK(report::best_epoch(run) == 0);
  for (const double loss : {3.0, 2.0, double(NAN), 2.0, -INFINITY + 0.0})
    run.history.append({{"val_loss", loss}});
  CHECK(report::best_epoch(run) == 2);
  CHECK(contains(report_html(run), "best epoch 2<"));
  run.best_epoch = 4;
  CHECK(report::best_epoch(run) == 4);
  RunReport other{.title = "t", .summary = ""};
  other.history.append({{"loss", 1}});
  CHECK(report::best_epoch(other) == 0);
}

TEST_CASE("a long history is thinned, in its table too, and the best epoch stays") {
  RunReport run{.title = "t", .summary = "", .history = made_history(1000, true)};
  run.best_epoch = 777;
  const auto curves = section(report_html(run), "curves");
  CHECK(count(curves, "<tr>") <= 203 + 1);
  CHECK(contains(curves, ">777 (best)<"));
  CHECK(contains(curves, "Values of every 5th epoch"));
  CHECK(curves.size() < 250'000);
}

TEST_CASE("the epoch is named once, also where it is a column of the history") {
  RunReport run{.title = "t", .summary = ""};
  for (const double e : {1.0, 2.0})
    run.history.append({{"loss", 1 / e}, {"epoch", e}, {"val_loss", 3.25 / e}});
  const auto curves = section(report_html(run), "curves");
  CHECK(count(curves, ">epoch</th>") == 1);
  CHECK(contains(curves, "<td>0.5</td><td>1.625</td></tr>"));
}

TEST_CASE("hostile text stays text") {
  const auto page = report_html(made_hostile_report());
  CHECK(problem_of(page) == "");
  CHECK(!contains(page, "<script"));
  CHECK(!contains(page, "<img src=x"));
  CHECK(contains(page, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
  CHECK(count(page, "<style") == 1);
  auto summary = made_summary();
  summary.title = summary.links[0].text = summary.notes[0] = hostile;
  summary.links[0].href = "a\"><script>/x.html";
  CHECK(problem_of(summary_html(summary)) == "");
  CHECK(!contains(summary_html(summary), "<script"));
}

TEST_CASE("a link leads to a page beside the summary, nowhere else") {
  auto summary = made_summary();
  CHECK(contains(summary_html(summary), "<a href=\"multi-label/report.html\">ConvNN, multi-label</a>"));
  for (const char* href :
       {"", "/etc/passwd", "//host/x", "https://host/x", "javascript:alert(1)", "JaVaScRiPt:x//", " //host",
        "\tjavascript:x", "\\\\host\\x", "data:text/html,x"}) {
    CAPTURE(href);
    summary.links[0].href = href;
    CHECK_THROWS_AS(summary_html(summary), ValueError);
  }
}

TEST_CASE("an empty report is a page without sections") {
  const auto page = report_html({.title = "empty", .summary = ""});
  CHECK(problem_of(page) == "");
  CHECK(contains(page, "<h1>empty</h1>"));
  CHECK(!contains(page, "<section"));
  CHECK(!contains(page, "<nav"));
  CHECK(problem_of(summary_html({.title = "empty", .summary = ""})) == "");
}

TEST_CASE("parts of a report that do not fit are refused") {
  const auto refuses = [](auto change) {
    auto run = small_report();
    change(run);
    return [run] { return report_html(run); };
  };
  using R = RunReport;
  CHECK_THROWS_AS(refuses([](R& r) { r.labels.pop_back(); })(), ShapeError);
  CHECK_THROWS_AS(refuses([](R& r) { r.label_names.push_back("d"), r.label_names.push_back("e"); })(),
                  ShapeError);
  CHECK_THROWS_AS(refuses([](R& r) { r.label_names.clear(); })(), ShapeError);
  CHECK_THROWS_AS(refuses([](R& r) { r.probabilities.clear(); })(), ShapeError);
  CHECK_THROWS_AS(refuses([](R& r) { r.train_labels = {1, 0}; })(), ShapeError);
  CHECK_THROWS_AS(refuses([](R& r) { r.labels[0] = 0.5f; })(), ValueError);
  CHECK_THROWS_AS(refuses([](R& r) { r.labels[0] = 0; })(), ValueError);  // no label, one-label
  CHECK_THROWS_AS(refuses([](R& r) { r.probabilities[5] = NAN; })(), NumericError);
  CHECK_THROWS_AS(refuses([](R& r) { r.best_epoch = -1; })(), ValueError);
  CHECK_THROWS_AS(refuses([](R& r) {
                    r.comparisons = {{"t", "", {{"a"}}, {{"row", {1, 2}}}}};
                  })(),
                  ShapeError);
  const std::vector<std::uint8_t> grey(12, 128);
  CHECK_THROWS_AS(refuses([&](R& r) { r.samples = {{grey, 2, 3, "id", {}, {}}}; })(), ShapeError);
  CHECK_THROWS_AS(refuses([&](R& r) { r.samples = {{grey, -2, -2, "id", {}, {}}}; })(), ShapeError);
  CHECK_THROWS_AS(refuses([&](R& r) { r.samples = {{grey, 2, 2, "id", {1, 0}, {}}}; })(), ShapeError);
  CHECK_THROWS_AS(refuses([&](R& r) { r.samples = {{grey, 2, 2, "id", {1, 0, 3}, {}}}; })(), ValueError);
  CHECK_THROWS_AS(refuses([&](R& r) { r.samples = {{grey, 2, 2, "id", {}, {NAN, 0, 0}}}; })(), NumericError);
  CHECK_THROWS_AS(refuses([&](R& r) { r.figures = {{"f", "", {{{grey, 1, 1, "x"}}}}}; })(), ShapeError);
  CHECK_THROWS_AS(refuses([&](R& r) { r.arguments = 3; })(), FormatError);
}

TEST_CASE("report pages of every kind are whole, self-contained and small") {
  tiny::Scratch scratch;
  const char* given = std::getenv("KFER_REPORT_DIR");  // tests/peers/report_test.py opens them in a browser
  const std::string directory = given ? given : scratch.path;
  for (const auto& entry : all_pages()) {
    const std::string &name = entry.first, &page = entry.second;
    CAPTURE(name);
    CHECK(problem_of(page) == "");
    CHECK(page.size() < 1'500'000);
    CHECK(!contains(page, "://"));
    CHECK(!contains(page, "url("));
    CHECK(!contains(page, "<link"));
    io::atomic_write(directory + '/' + name, page);
  }
  // And by the function that programs call: the old page, then the new one, and nothing else.
  tiny::Scratch other;
  const std::string path = other.path + "/report.html";
  write_report(path, made_summary());
  write_report(path, small_report());
  CHECK(tiny::read(path) == report_html(small_report()));
  CHECK(std::distance(std::filesystem::directory_iterator(other.path), {}) == 1);
  CHECK_THROWS_AS(write_report(other.path + "/none/report.html", small_report()), IoError);
}
