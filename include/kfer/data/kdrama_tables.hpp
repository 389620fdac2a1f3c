// How often each label set occurs in the published splits of the K-drama set (Cho et al., BigComp 2022).
// Written by tools/kdrama/make_label_tables.py from the CSV files beside it: change those, not this.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace kfer::data {

/// Labels as bits (bit i is label i of the set's order), and their images in {train, valid, test}.
struct LabelSetCount {
  std::uint32_t labels;
  std::array<std::int32_t, 3> images;
};

}  // namespace kfer::data

namespace kfer::data::kdrama_tables {

// clang-format off
inline constexpr std::array<std::string_view, 24> multi_label_names{
    "moved", "fearful", "bored", "surprised", "angry", "anxious", "smitten", "fluttered", "disappointed", "fulfilled", "ashamed", "sad", "upset", "sympathetic", "passionate", "depressed", "amused", "affectionate", "guilty", "neutral", "jealous", "peaceful", "happy", "disgusted"};
inline constexpr std::array<LabelSetCount, 158> multi_label_counts{{
    {0x000010, {6076, 748, 762}},  // angry
    {0x000008, {2192, 248, 275}},  // surprised
    {0x000800, {1566, 183, 181}},  // sad
    {0x001000, {1365, 149, 188}},  // upset
    {0x008800, {1330, 158, 158}},  // sad|depressed
    {0x001800, {1113, 152, 175}},  // sad|upset
    {0x001010, {955, 114, 129}},  // angry|upset
    {0x000810, {886, 120, 101}},  // angry|sad
    {0x410000, {831, 106, 93}},  // amused|happy
    {0x000020, {736, 118, 97}},  // anxious
    {0x400040, {740, 92, 94}},  // smitten|happy
    {0x000100, {750, 81, 87}},  // disappointed
    {0x0000c0, {664, 82, 71}},  // smitten|fluttered
    {0x002800, {627, 70, 93}},  // sad|sympathetic
    {0x009000, {580, 75, 74}},  // upset|depressed
    {0x800010, {538, 63, 57}},  // angry|disgusted
    {0x000110, {480, 55, 55}},  // angry|disappointed
    {0x001100, {455, 54, 53}},  // disappointed|upset
    {0x041000, {414, 61, 48}},  // upset|guilty
    {0x002000, {406, 49, 54}},  // sympathetic
    {0x040000, {389, 47, 38}},  // guilty
    {0x010000, {361, 51, 43}},  // amused
    {0x020000, {342, 47, 38}},  // affectionate
    {0x000900, {325, 43, 36}},  // disappointed|sad
    {0x000001, {247, 25, 40}},  // moved
    {0x002040, {231, 38, 39}},  // smitten|sympathetic
    {0x000040, {232, 42, 26}},  // smitten
    {0x040800, {216, 37, 27}},  // sad|guilty
    {0x000002, {225, 27, 28}},  // fearful
    {0x600000, {196, 31, 25}},  // peaceful|happy
    {0x100010, {180, 18, 31}},  // angry|jealous
    {0x004022, {191, 15, 18}},  // fearful|anxious|passionate
    {0x100100, {162, 29, 16}},  // disappointed|jealous
    {0x008000, {146, 35, 21}},  // depressed
    {0x001008, {146, 21, 19}},  // surprised|upset
    {0x400000, {138, 24, 23}},  // happy
    {0x009800, {143, 22, 20}},  // sad|upset|depressed
    {0x040010, {148, 14, 23}},  // angry|guilty
    {0x000840, {139, 26, 18}},  // smitten|sad
    {0x100000, {143, 14, 17}},  // jealous
    {0x000820, {143, 13, 17}},  // anxious|sad
    {0x00000a, {132, 16, 20}},  // fearful|surprised
    {0x000080, {130, 19, 11}},  // fluttered
    {0x000022, {129, 13, 16}},  // fearful|anxious
    {0x200000, {115, 23, 15}},  // peaceful
    {0x000808, {118, 22, 12}},  // surprised|sad
    {0x010040, {121, 13, 16}},  // smitten|amused
    {0x000200, {122, 13, 14}},  // fulfilled
    {0x020800, {118, 11, 17}},  // sad|affectionate
    {0x008010, {109, 12, 13}},  // angry|depressed
    {0x042000, {105, 17, 11}},  // sympathetic|guilty
    {0x000410, {100, 12, 10}},  // angry|ashamed
    {0x022000, {90, 17, 11}},  // sympathetic|affectionate
    {0x800000, {98, 11, 8}},  // disgusted
    {0x003000, {86, 10, 9}},  // upset|sympathetic
    {0x001020, {75, 7, 13}},  // anxious|upset
    {0x000801, {72, 11, 11}},  // moved|sad
    {0x020040, {76, 9, 9}},  // smitten|affectionate
    {0x002010, {71, 14, 7}},  // angry|sympathetic
    {0x101000, {65, 13, 10}},  // upset|jealous
    {0x000028, {77, 3, 8}},  // surprised|anxious
    {0x400080, {71, 6, 7}},  // fluttered|happy
    {0x000802, {60, 11, 13}},  // fearful|sad
    {0x000030, {66, 7, 5}},  // angry|anxious
    {0x000041, {58, 12, 5}},  // moved|smitten
    {0x000c00, {56, 7, 11}},  // ashamed|sad
    {0x022800, {59, 7, 8}},  // sad|sympathetic|affectionate
    {0x000400, {61, 5, 7}},  // ashamed
    {0x001400, {59, 5, 7}},  // ashamed|upset
    {0x000018, {56, 7, 8}},  // surprised|angry
    {0x008100, {56, 5, 9}},  // disappointed|depressed
    {0x010080, {59, 7, 4}},  // fluttered|amused
    {0x100080, {56, 6, 5}},  // fluttered|jealous
    {0x020001, {48, 4, 7}},  // moved|affectionate
    {0x400200, {41, 3, 6}},  // fulfilled|happy
    {0x002008, {43, 3, 4}},  // surprised|sympathetic
    {0x000108, {37, 4, 4}},  // surprised|disappointed
    {0x420000, {35, 3, 6}},  // affectionate|happy
    {0x003800, {34, 5, 4}},  // sad|upset|sympathetic
    {0x002080, {34, 4, 5}},  // fluttered|sympathetic
    {0x001810, {31, 5, 4}},  // angry|sad|upset
    {0x200800, {28, 7, 2}},  // sad|peaceful
    {0x001900, {27, 3, 5}},  // disappointed|sad|upset
    {0x100020, {27, 4, 2}},  // anxious|jealous
    {0x801010, {30, 1, 1}},  // angry|upset|disgusted
    {0x020100, {22, 2, 6}},  // disappointed|affectionate
    {0x200001, {24, 2, 3}},  // moved|peaceful
    {0x002001, {25, 2, 2}},  // moved|sympathetic
    {0x002002, {26, 2, 1}},  // fearful|sympathetic
    {0x004080, {23, 4, 2}},  // fluttered|passionate
    {0x001040, {22, 3, 3}},  // smitten|upset
    {0x004000, {21, 4, 3}},  // passionate
    {0x000081, {21, 1, 5}},  // moved|fluttered
    {0x020010, {22, 4, 1}},  // angry|affectionate
    {0x000822, {20, 2, 5}},  // fearful|anxious|sad
    {0x020140, {18, 3, 5}},  // smitten|disappointed|affectionate
    {0x060000, {19, 4, 2}},  // affectionate|guilty
    {0x000408, {14, 3, 6}},  // surprised|ashamed
    {0x020020, {19, 2, 2}},  // anxious|affectionate
    {0x800900, {18, 3, 2}},  // disappointed|sad|disgusted
    {0x0020c0, {21, 0, 2}},  // smitten|fluttered|sympathetic
    {0x800002, {20, 0, 0}},  // fearful|disgusted
    {0x004200, {19, 0, 1}},  // fulfilled|passionate
    {0x001002, {18, 1, 1}},  // fearful|upset
    {0x401020, {17, 2, 1}},  // anxious|upset|happy
    {0x410040, {16, 3, 1}},  // smitten|amused|happy
    {0x012000, {13, 4, 1}},  // sympathetic|amused
    {0x020080, {15, 0, 1}},  // fluttered|affectionate
    {0x040400, {11, 2, 3}},  // ashamed|guilty
    {0x010010, {12, 3, 1}},  // angry|amused
    {0x004100, {15, 0, 0}},  // disappointed|passionate
    {0x041002, {12, 0, 3}},  // fearful|upset|guilty
    {0x004008, {11, 2, 1}},  // surprised|passionate
    {0x000500, {13, 1, 0}},  // disappointed|ashamed
    {0x000050, {11, 2, 1}},  // angry|smitten
    {0x005020, {10, 1, 1}},  // anxious|upset|passionate
    {0x042800, {9, 0, 3}},  // sad|sympathetic|guilty
    {0x030000, {9, 2, 1}},  // amused|affectionate
    {0x100008, {9, 0, 2}},  // surprised|jealous
    {0x100040, {10, 0, 1}},  // smitten|jealous
    {0x020030, {10, 1, 0}},  // angry|anxious|affectionate
    {0x000280, {8, 2, 0}},  // fluttered|fulfilled
    {0x021000, {7, 1, 2}},  // upset|affectionate
    {0x0200a0, {7, 1, 2}},  // anxious|fluttered|affectionate
    {0x000220, {8, 1, 0}},  // anxious|fulfilled
    {0x010100, {8, 1, 0}},  // disappointed|amused
    {0x404000, {5, 0, 4}},  // passionate|happy
    {0x040008, {7, 2, 0}},  // surprised|guilty
    {0x000060, {6, 0, 2}},  // anxious|smitten
    {0x0000c1, {6, 1, 1}},  // moved|smitten|fluttered
    {0x001004, {6, 1, 1}},  // bored|upset
    {0x001818, {7, 1, 0}},  // surprised|angry|sad|upset
    {0x000480, {6, 1, 0}},  // fluttered|ashamed
    {0x400008, {5, 2, 0}},  // surprised|happy
    {0x040810, {3, 3, 1}},  // angry|sad|guilty
    {0x002020, {7, 0, 0}},  // anxious|sympathetic
    {0x001012, {6, 1, 0}},  // fearful|angry|upset
    {0x040020, {6, 0, 1}},  // anxious|guilty
    {0x000420, {7, 0, 0}},  // anxious|ashamed
    {0x00100a, {6, 1, 0}},  // fearful|surprised|upset
    {0x040001, {6, 0, 0}},  // moved|guilty
    {0x0000a0, {5, 0, 1}},  // anxious|fluttered
    {0x200200, {3, 0, 2}},  // fulfilled|peaceful
    {0x001080, {4, 0, 0}},  // fluttered|upset
    {0x400001, {3, 0, 1}},  // moved|happy
    {0x800800, {2, 1, 1}},  // sad|disgusted
    {0x801000, {3, 0, 1}},  // upset|disgusted
    {0x000140, {3, 1, 0}},  // smitten|disappointed
    {0x0100c0, {3, 0, 1}},  // smitten|fluttered|amused
    {0x001030, {4, 0, 0}},  // angry|anxious|upset
    {0x400020, {3, 0, 0}},  // anxious|happy
    {0x430000, {3, 0, 0}},  // amused|affectionate|happy
    {0x210000, {1, 1, 0}},  // amused|peaceful
    {0x001820, {2, 0, 0}},  // anxious|sad|upset
    {0x000012, {1, 1, 0}},  // fearful|angry
    {0x202040, {1, 0, 0}},  // smitten|sympathetic|peaceful
    {0x000048, {1, 0, 0}},  // surprised|smitten
    {0x100800, {1, 0, 0}},  // sad|jealous
}};

inline constexpr std::array<std::string_view, 22> emo22_names{
    "moved", "fearful", "surprised", "angry", "anxious", "smitten", "fluttered", "disappointed", "fulfilled", "ashamed", "sad", "upset", "sympathetic", "passionate", "depressed", "amused", "affectionate", "guilty", "jealous", "peaceful", "happy", "disgusted"};
inline constexpr std::array<LabelSetCount, 22> emo22_counts{{
    {0x000001, {250, 31, 31}},  // moved
    {0x000002, {224, 28, 28}},  // fearful
    {0x000004, {2172, 272, 271}},  // surprised
    {0x000008, {6068, 759, 759}},  // angry
    {0x000010, {761, 95, 95}},  // anxious
    {0x000020, {240, 30, 30}},  // smitten
    {0x000040, {128, 16, 16}},  // fluttered
    {0x000080, {734, 92, 92}},  // disappointed
    {0x000100, {119, 15, 15}},  // fulfilled
    {0x000200, {59, 7, 7}},  // ashamed
    {0x000400, {1544, 193, 193}},  // sad
    {0x000800, {1362, 170, 170}},  // upset
    {0x001000, {407, 51, 51}},  // sympathetic
    {0x002000, {22, 3, 3}},  // passionate
    {0x004000, {162, 20, 20}},  // depressed
    {0x008000, {364, 45, 46}},  // amused
    {0x010000, {341, 43, 43}},  // affectionate
    {0x020000, {380, 47, 47}},  // guilty
    {0x040000, {140, 17, 17}},  // jealous
    {0x080000, {123, 15, 15}},  // peaceful
    {0x100000, {147, 19, 19}},  // happy
    {0x200000, {93, 12, 12}},  // disgusted
}};

inline constexpr std::array<std::string_view, 6> basic6_names{
    "angry", "disgusted", "surprised", "fearful", "happy", "sad"};
inline constexpr std::array<LabelSetCount, 6> basic6_counts{{
    {0x000001, {6068, 759, 759}},  // angry
    {0x000002, {93, 12, 12}},  // disgusted
    {0x000004, {2171, 272, 272}},  // surprised
    {0x000008, {224, 28, 28}},  // fearful
    {0x000010, {149, 18, 18}},  // happy
    {0x000020, {1544, 193, 193}},  // sad
}};
// clang-format on

}  // namespace kfer::data::kdrama_tables
