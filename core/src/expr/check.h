/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BV_EXPR_CHECK_H
#define BV_EXPR_CHECK_H

#include "expr/expr.h"
#include "expr/parse.h"

/* Names, functions and types of a parsed expression (operators.md 5.5). Afterwards every needed
 * term is a literal, a field with its node, or an op over arguments: calls are resolved, and in
 * EXPR_WHERE what could only be null is a null literal. term->type is filled.
 *
 * EXPR_WHERE never refuses anything but unknown fields; what it lets pass goes to warnings. */
enum bv_status check_tree(struct tree *tree, const struct expr_scope *scope, enum expr_mode mode,
                          enum expr_failure *failure, struct buf *warnings, struct bv_error *err);

/* In EXPR_WHERE: the type is only known at run time. */
#define CHECK_TYPE_UNKNOWN (-2)

#endif
