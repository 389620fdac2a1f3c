// The frame of a page: its head, its styles, and its sections with a list of links to them.
#pragma once

#include <string>
#include <vector>

#include "kfer/train/report/html.hpp"

namespace kfer::report {

/// One style sheet for screens of any width, light and dark, and for paper. Every pair of text and background
/// has a contrast of at least 4.5 (WCAG 2 AA); series differ by dashes as well as by hue.
inline constexpr Markup style = R"css(
:root{color-scheme:light dark;
--page:#fbfbf9;--card:#fff;--ink:#1a1f25;--soft:#545d69;--line:#dfe3e8;--link:#0b5c9e;--mark:#eef4fa;
--s0:#0b62a8;--s1:#c2500c;--s2:#0a7a55;--s3:#8a3fa0;--good:#08694a;--bad:#a83a10;--bar:#9cc3e4;
--h0:#f3f6fa;--h1:#dfeaf4;--h2:#c9dcee;--h3:#aecde6;--h4:#8fbbdc;--h5:#6ba6d0;--h6:#2f6fa8;--h7:#1d5288;--h8:#0d3763;
--hi:#1a1f25;--ho:#fff;--zero:#545d69;--shade:#1a1f2533}
@media screen and (prefers-color-scheme:dark){:root{
--page:#11151a;--card:#181d24;--ink:#e6e9ed;--soft:#a6b0bc;--line:#2d353f;--link:#85c3f7;--mark:#1d2a38;
--s0:#62b4f5;--s1:#f2a36b;--s2:#5cc9a0;--s3:#d59be6;--good:#62cfa4;--bad:#f59f78;--bar:#2b5f8c;
--h0:#1b2129;--h1:#1b2d3f;--h2:#1c3a55;--h3:#1e486b;--h4:#215680;--h5:#266496;--h6:#72b3e3;--h7:#9bcbef;--h8:#c6e3fa;
--hi:#eef1f4;--ho:#0d1a26;--zero:#a6b0bc;--shade:#000c}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
font-variant-numeric:tabular-nums;-webkit-text-size-adjust:100%;text-size-adjust:100%;overflow-wrap:break-word}
header,main,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:48px}
h1{font-size:2rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 8px}
.summary{font-size:1.1rem;color:var(--soft);margin:0;max-width:72ch}
h2{font-size:1.35rem;line-height:1.3;letter-spacing:-.01em;margin:0 0 12px}
h3{font-size:1rem;margin:28px 0 8px}
h3:first-child{margin-top:0}
p{margin:0 0 14px;max-width:76ch}
.note,figcaption,footer{color:var(--soft);font-size:.9rem}
a{color:var(--link);text-underline-offset:3px}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
nav{margin:28px 0 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line);padding:10px 0}
nav ul{display:flex;flex-wrap:wrap;gap:4px 20px;margin:0;padding:0;list-style:none;font-size:.9rem}
nav a{display:inline-block;padding:4px 0;text-decoration:none}
nav a:hover{text-decoration:underline}
section{margin:56px 0 0}
footer{margin-top:64px;padding-bottom:40px}
.headline{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:24px 32px;margin:32px 0 0;padding:0}
.headline div{border-top:3px solid var(--s0);padding-top:10px}
.headline dt{font-size:.85rem;color:var(--soft)}
.headline dd{margin:0}
.headline .value{font-size:1.9rem;line-height:1.25;letter-spacing:-.02em;font-weight:600;white-space:nowrap}
.headline .aside{font-size:.85rem;color:var(--soft)}
.scroll{overflow-x:auto;max-width:100%;margin:0 0 14px;
background:linear-gradient(to right,var(--page) 40%,transparent) 0 0/36px 100% no-repeat local,
linear-gradient(to left,var(--page) 40%,transparent) 100% 0/36px 100% no-repeat local,
linear-gradient(to right,var(--shade),transparent) 0 0/12px 100% no-repeat scroll,
linear-gradient(to left,var(--shade),transparent) 100% 0/12px 100% no-repeat scroll}
table{border-collapse:collapse;font-size:.92rem;line-height:1.35}
th,td{padding:7px 12px;text-align:right;vertical-align:baseline;border-bottom:1px solid var(--line);white-space:nowrap}
thead th{font-weight:600;color:var(--soft);vertical-align:bottom;border-bottom:2px solid var(--line)}
th:first-child{text-align:left;padding-left:0}
tbody th{font-weight:500;text-align:left;max-width:17em;white-space:normal;overflow-wrap:break-word}
tbody tr:hover>*{background:var(--mark)}
table.confused :is(th,td):nth-child(2){text-align:left}
td.best{font-weight:700}
td.best::after{content:"\2009\25c2";color:var(--s0)}
td.bar{min-width:110px}
td.bar span{display:block;height:9px;border-radius:2px;background:var(--bar)}
table.pairs th,table.pairs td{text-align:left;white-space:normal;overflow-wrap:anywhere}
table.pairs th{color:var(--soft);min-width:9em}
.tables{display:flex;flex-wrap:wrap;gap:32px 56px}.tables>*{min-width:0;max-width:100%}.tables .note{max-width:54ch}
.two{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:28px 40px}
.two>*{min-width:0}
figure{margin:0;min-width:0}
figure h3{margin:0 0 2px}
svg{display:block;width:100%;height:auto}
svg text{font-size:12px;fill:var(--soft);font-family:inherit}
.grid{stroke:var(--line);stroke-width:1;fill:none}
.frame{stroke:var(--soft);stroke-width:1;fill:none}
.mark{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:2 3;fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.s0{stroke:var(--s0)}.s1{stroke:var(--s1);stroke-dasharray:7 4}.s2{stroke:var(--s2);stroke-dasharray:2 4}
.s3{stroke:var(--s3);stroke-dasharray:10 3 2 3}
.dot.s0,.dot.s1,.dot.s2,.dot.s3{stroke:none}
.dot.s0{fill:var(--s0)}.dot.s1{fill:var(--s1)}.dot.s2{fill:var(--s2)}.dot.s3{fill:var(--s3)}
.hit{fill:transparent}.hit:hover{fill:var(--soft);fill-opacity:.16}
.legend{display:flex;flex-wrap:wrap;gap:2px 18px;margin:0 0 4px;padding:0;list-style:none;font-size:.85rem;color:var(--soft)}
.legend svg{display:inline-block;width:30px;height:8px;vertical-align:middle;margin-right:7px}
.plot{max-width:544px}
.small{display:grid;grid-template-columns:repeat(auto-fill,minmax(122px,1fr));gap:20px 18px}
.small figcaption{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 8px;font-size:.8rem;line-height:1.4;margin-top:5px}
.small figcaption span:first-child{overflow-wrap:break-word;min-width:0;max-width:100%;color:var(--ink)}
table.heat{font-size:.8rem;border-collapse:separate;border-spacing:2px}
table.heat th,table.heat td{border:0;padding:5px 4px;line-height:1.2}
table.heat td{text-align:center;min-width:34px;border-radius:2px}
table.heat td small{display:block;font-size:.75rem}
table.heat thead th{vertical-align:bottom;text-align:center;font-weight:500}
table.heat thead th.turned{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;padding:4px 2px}
table.heat thead th div{max-height:11em;max-width:9em;overflow-wrap:break-word;white-space:normal}
table.heat tbody th{position:sticky;left:0;background:var(--page);padding-right:10px;text-align:right}
table.heat .total{background:none;color:var(--soft);padding-left:8px}
table.heat tbody tr:hover>.total,table.heat tbody tr:hover>th{background:var(--page)}
table.large td{min-width:84px;padding:9px 6px}
.h0,tr:hover>.h0{background:var(--h0);color:var(--hi)}.h1,tr:hover>.h1{background:var(--h1);color:var(--hi)}
.h2,tr:hover>.h2{background:var(--h2);color:var(--hi)}.h3,tr:hover>.h3{background:var(--h3);color:var(--hi)}
.h4,tr:hover>.h4{background:var(--h4);color:var(--hi)}.h5,tr:hover>.h5{background:var(--h5);color:var(--hi)}
.h6,tr:hover>.h6{background:var(--h6);color:var(--ho)}.h7,tr:hover>.h7{background:var(--h7);color:var(--ho)}
.h8,tr:hover>.h8{background:var(--h8);color:var(--ho)}
.heat .none{color:var(--zero)}
.heat .same{outline:2px solid var(--soft);outline-offset:-2px}
.scale{display:flex;align-items:center;gap:8px;font-size:.85rem;color:var(--soft);margin:0 0 12px}
.scale span{display:flex}.scale i{display:block;width:20px;height:12px}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(172px,1fr));gap:18px;margin:0;padding:0;list-style:none}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;font-size:.82rem;line-height:1.45;
break-inside:avoid;min-width:0}
.card img,.strip img{display:block;border-radius:4px;max-width:100%;height:auto}
.card img{width:96px}
.card .id{font-size:.75rem;color:var(--soft);overflow-wrap:anywhere;margin:8px 0 2px}
.card ul{margin:4px 0 0;padding:0;list-style:none}
.card li{display:flex;justify-content:space-between;gap:8px}
.card li span:first-child{overflow-wrap:anywhere}
.verdict{font-weight:600;margin:0}
.good{color:var(--good)}.bad{color:var(--bad)}
.strip{display:flex;flex-wrap:wrap;gap:10px}
.strip figure{flex:1 1 90px;max-width:150px}
.strip img{width:100%}
.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,258px),1fr))}
details{margin:20px 0 0}summary{cursor:pointer;color:var(--link);font-size:.92rem}
details .scroll{max-height:480px;overflow:auto;margin-top:12px}
@media (max-width:600px){
header,main,footer{padding-left:16px;padding-right:16px}header{padding-top:28px}
h1{font-size:1.55rem}section{margin-top:44px}
.headline{grid-template-columns:repeat(2,1fr);gap:18px 20px}.headline .value{font-size:1.5rem}
svg text{font-size:15px}
.cards{grid-template-columns:repeat(2,minmax(0,1fr));gap:12px}.cards.wide{grid-template-columns:1fr}
.small{grid-template-columns:repeat(auto-fill,minmax(100px,1fr))}
table{font-size:.86rem}th,td{padding:6px 7px}thead th{white-space:normal}
tbody th{position:sticky;left:0;background:var(--page);max-width:42vw;padding-right:10px}
table.pairs tbody th{position:static;min-width:7em;max-width:none}
table.large td{min-width:0;padding:6px 3px}table.large thead th div{writing-mode:vertical-rl;transform:rotate(180deg);margin:auto}}
@media print{
:root{color-scheme:light;--page:#fff}.plot{max-width:90mm}.small{grid-template-columns:repeat(8,1fr);gap:10pt}
@page{margin:14mm}
body{font-size:10.5pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
header,main,footer{max-width:none;padding:0}nav,details{display:none}
section{margin-top:26pt}h2,h3,p,.scale{break-after:avoid}figure,tr,.card,table.heat{break-inside:avoid}
.scroll{overflow:visible}.two{grid-template-columns:1fr 1fr;gap:16pt}
table{font-size:8pt}th,td{padding:3px 6px;white-space:normal}tbody th{max-width:12em}td.bar{min-width:60px}
table.heat{font-size:6.5pt;border-spacing:1px}table.heat td{min-width:0;padding:2px}table.heat th{padding:2px}
table.heat tbody th{position:static;max-width:9em}.scroll{background:none}}
)css"_html;

/// A page in the making.
class Page {
 public:
  Page(std::string title, std::string summary) : title_(std::move(title)), summary_(std::move(summary)) {}

  /// What stands between the title and the links.
  void set_headline(Html headline) { headline_ = std::move(headline); }

  /// Adds a section unless it is empty. `id` must be new.
  void add_section(Markup id, std::string_view title, const Html& body) {
    if (body.empty()) return;
    links_.add("<li><a href=\"#"_html, id, "\">"_html, title, "</a></li>"_html);
    sections_.add("\n<section id=\""_html, id, "\" aria-labelledby=\""_html, id, "-title\"><h2 id=\""_html,
                  id, "-title\">"_html, title, "</h2>\n"_html, body, "</section>"_html);
  }

  std::string str() const {
    Html page(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\">"
        // The page needs nothing from anywhere, and is allowed nothing.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';img-src data:;"
        "style-src 'unsafe-inline'\">\n<title>"_html,
        title_, "</title>\n<style>"_html, style, "</style></head>\n<body><header><h1>"_html, title_,
        "</h1>"_html);
    if (!summary_.empty()) page.add("<p class=\"summary\">"_html, summary_, "</p>"_html);
    page.add(headline_);
    if (!links_.empty()) page.add("\n<nav aria-label=\"Sections\"><ul>"_html, links_, "</ul></nav>"_html);
    page.add("</header>\n<main>"_html, sections_,
             "\n</main>\n<footer>Written by kfer.</footer></body></html>\n"_html);
    return std::move(page).str();
  }

 private:
  std::string title_, summary_;
  Html headline_, links_, sections_;
};

}  // namespace kfer::report
