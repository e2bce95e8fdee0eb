"""Exercises for a course: a sheet to fill in, laws that grade it, and words for who got something wrong."""

from aeexp.exercises.grading import Grade, grade

__all__ = ["Grade", "grade"]
