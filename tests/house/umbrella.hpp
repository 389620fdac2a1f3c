// The whole of kfer, as a user's program includes it.
#pragma once

#if __has_include(<kfer/kfer.hpp>)
#include <kfer/kfer.hpp>
#else
#include <kfer/core/shape.hpp>
#endif
#include <kfer/core/config.hpp>
#include <kfer/core/error.hpp>
