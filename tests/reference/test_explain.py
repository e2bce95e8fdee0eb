"""aeexp-explain and aeexp --help: every option is told in words that come from its YAML and its docstring."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
import yaml
from composing import CONF
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from aeexp.cli.explain import main
from aeexp.reference import meaning, options
from aeexp.reference.docstrings import OWN, _list_parts, _parse_docstring, find_papers, first_sentence, read_docstring
from aeexp.reference.folders import name_folders
from aeexp.reference.options import read_option
from aeexp.runs.config import MULTIPLE
from aeexp.runs.schema import BESIDE

OPTIONS = list(options.list_options())
# What a course asks about: these name a paper, or the reason why there is none.
SOURCED = ("variant", "regularizer", "latent", "latent/prior", "latent/posterior", "likelihood", "objective",
           "objective/bound")  # fmt: skip
NO_PAPER = {"regularizer=none": "the null object of the group"}
FORMULAS = ("metric", "regularizer", "noise", "latent", "latent/prior", "latent/posterior", "likelihood", "objective",
            "objective/bound")  # fmt: skip


def told(capsys, *names) -> str:
    main(list(names))
    return capsys.readouterr().out


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def leaves(node, prefix: str):
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif not key.startswith("_") and key != "defaults":
            yield f"{prefix}{key}", value


def test_the_walk_sees_every_file():
    others = {"hydra", "common", "reproduce"}
    files = {p for p in CONF.rglob("*.yaml") if not others & set(p.parts) and p.parent != CONF}
    assert {(o.group, o.name) for o in OPTIONS} == {(p.parent.relative_to(CONF).as_posix(), p.stem) for p in files}
    assert len(OPTIONS) >= 170


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.word)
def test_every_option_is_explained(option, capsys):
    text = told(capsys, option.word)
    assert text.startswith(option.word) and "\x1b" not in text, "plain where it is piped"
    line = meaning.describe(option)
    assert line and line[0] != "#" and squeezed(line) in squeezed(text)
    if option.name != "none":
        assert line != "nothing"
    path = CONF / option.group / f"{option.name}.yaml"
    prefix = "" if "# @package _global_" in path.read_text(encoding="utf-8") else f"{option.group.replace('/', '.')}."
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    keys = dict(leaves(content, prefix))
    shown = {key.path: key for key in option.keys}
    assert shown.keys() >= keys.keys()
    for key, value in keys.items():
        assert yaml.safe_load(shown[key].value) == value
        assert squeezed(f"{key}={shown[key].value}{shown[key].comment}") in squeezed(text)
    comments = re.findall(r"# (?!@package)(.*)", path.read_text(encoding="utf-8"))
    comments = [re.sub(r"^requires:", "needs:", comment) for comment in comments]
    unseen = [comment for comment in comments if squeezed(comment) not in squeezed(text)]
    assert not unseen, f"comments that nobody sees: {unseen}"
    assert read_docstring(option.target).text or option.header or option.includes or option.name == "none"


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.group in SOURCED], ids=lambda option: option.word)
def test_what_a_course_asks_about_has_a_source(option):
    assert meaning.list_papers(option) or NO_PAPER.get(option.word)


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.group in FORMULAS], ids=lambda option: option.word)
def test_what_a_course_asks_about_has_a_formula_and_a_place_to_look(option):
    if option.name != "none" and option.target:
        text = read_docstring(option.target)
        assert text.formula and (text.look or option.group == "latent/prior")


def test_a_variant_is_the_sum_of_its_terms(capsys):
    text = told(capsys, "variant=info_vae")
    assert "latent=gaussian" in text and "regularizer.mmd.weight=10.0" in text
    assert "+ 0.1 × kl" in text and "+ 10.0 × mmd" in text and "KL(q(z|x)" in text
    assert "+ 5.0 × total_correlation" in told(capsys, "beta_tc_vae"), "the option's own weight"
    assert "-log 1/K" in told(capsys, "variant=iwae")
    plain = told(capsys, "undercomplete")
    assert "reconstruction: likelihood=gaussian" in plain and "z = f(x)" in plain and "×" not in plain


INHERITING = [option for option in OPTIONS if option.group == "variant" and option.includes]


@pytest.mark.parametrize("option", INHERITING, ids=lambda option: option.name)
def test_a_variant_that_is_another_with_changes_is_told_as_hydra_composes_it(option):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [option.word], return_hydra_config=True)
    OmegaConf.set_struct(cfg, False)
    for group, names in option.picks.items():
        if group in MULTIPLE:
            parts = [part for name in names for part in read_option(group, name).includes or [name]]
            assert [name for name in cfg[group] if name not in BESIDE.get(group, {})] == parts
        else:
            assert (cfg.hydra.runtime.choices[group],) == names
    for key in option.keys:
        told = OmegaConf.merge(cfg, OmegaConf.create(f"value: {key.value}"))  # it may name another key
        assert OmegaConf.select(cfg, key.path) == told.value


def test_what_is_inherited_and_what_is_required_is_shown(capsys):
    assert len(INHERITING) >= 10
    text = told(capsys, "beta_vae")
    assert "latent=gaussian" in text and "+ 4.0 × kl" in text
    assert re.search(r"with\n +vae +Kingma and Welling 2014", text)
    assert "model.hidden_dims=[256, 128]" in told(capsys, "stacked_denoising"), "a key of variant=stacked"
    assert re.search(r"likelihood=(\w+)", told(capsys, "recurrent_vae"))[1] == "gaussian_optimal", "its own pick wins"
    assert "\n  needs: latent=sigmoid\n" in told(capsys, "regularizer=kl_sparsity")
    assert "objective=semi_supervised" in options.read_option("objective/bound", "iwae").requires
    assert not options.read_option("regularizer", "l1").requires


def test_names_of_several_groups_show_all_and_groups_their_options(capsys):
    text = told(capsys, "inpainting")
    assert [f"{group}=inpainting" in text for group in ("variant", "metric", "plot")] == [True] * 3
    text = told(capsys, "latent")
    assert "\nmetric=latent" in text and re.search(r"^ \* deterministic +The encoder's output", text, re.MULTILINE)
    assert told(capsys, "metric=latent").startswith("metric=latent")
    both = told(capsys, "regularizer=[l1,contractive]")
    assert "regularizer=l1" in both and "regularizer=contractive" in both
    assert told(capsys, "VAE").startswith("variant=vae") and told(capsys, "noise.masking").startswith("noise=masking")
    assert told(capsys, "trainer.epochs").startswith("trainer=joint")
    assert told(capsys, "dataset.limit").startswith("dataset: "), "every data set has it"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("contractve", "contractve: there is no such option: did you mean contractive?"),
        ("regularizer=klx", "regularizer=klx: there is no such option: did you mean kl"),
        ("regularizr=kl", "regularizr=kl: there is no group regularizr: did you mean regularizer?"),
        ("zzzz", "zzzz: there is no such option; aeexp-explain lists all of them"),
        ("noise=[masking, foo]", "noise=foo: there is no such option; aeexp-explain lists all of them"),
    ],
)
def test_a_name_that_is_not_known(name, words, capsys):
    with pytest.raises(SystemExit) as end:
        main([name])
    said = capsys.readouterr()
    assert end.value.code == 2 and said.err.startswith(words) and said.err.count("\n") == 1 and not said.out


def test_without_a_name_every_option_has_its_line(capsys):
    text = told(capsys)
    for group, names in options.list_groups().items():
        part = re.search(rf"^{group}(: .*)?\n((?: .*\n?)+)", text, re.MULTILINE)[2]
        assert re.findall(r"^ [ *] (\w+)  +\S", part, re.MULTILINE) == names
    assert re.search(r"^ \* undercomplete ", text, re.MULTILINE)


def test_help_of_aeexp_lists_options_and_values(capsys, monkeypatch):
    from aeexp.cli import train

    monkeypatch.setattr(sys, "argv", ["aeexp", "--help"])
    train.main()
    text = capsys.readouterr().out
    assert "variant: a named autoencoder" in text and re.search(r"^   k_sparse +Makhzani", text, re.MULTILINE)
    assert re.search(r"^    device=auto +auto, cpu, cuda, mps$", text, re.MULTILINE)
    assert "aeexp variant=denoising" in text and "seed=0" in text


@pytest.mark.parametrize("words", ["aeexp.cli.explain import main; main(['vae']); main([])",
                                   "aeexp.cli.train import main; sys.argv[1:] = ['--help']; main()"])  # fmt: skip
def test_nothing_heavy_is_imported(words):
    code = (
        f"import sys; from {words}\n"
        "print(sorted({'torch', 'hydra', 'omegaconf', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_docstrings_are_those_that_python_itself_reads():
    """Of every module of the package: they are cut out before they are parsed."""
    count = 0
    for path in OWN.rglob("*.py"):
        names = ["aeexp", *path.relative_to(OWN).with_suffix("").parts]
        if "templates" in names:  # no Python yet
            continue
        nodes = ast.parse(path.read_text(encoding="utf-8")).body
        wanted = {n.name: ast.get_docstring(n) or "" for n in nodes if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        parts = _list_parts(".".join(names).removesuffix(".__init__"))
        texts = {
            name: [t for part in sources if (t := _parse_docstring(part)) is not None]
            for name, sources in parts.items()
        }
        assert {name: found[-1] for name, found in texts.items() if found} == wanted, path
        count += len(wanted)
    assert count > 1000


def test_docstrings_of_another_s_hand_are_read_as_well(tmp_path):
    (tmp_path / "strange.py").write_text(
        'X = """\nclass Shown:\n    no code"""\n'
        '@final\nclass Bare:\n    x: int = 3\n\n    def f(self):\n        """Inner."""\n'
        "def single(a, b={1: 2}):\n    'Of one line.'\n    return a\n"
        'class Own(\n    Base,\n):  # why\n    r"""Raw \\d."""\n'
        'def late(\n    x: int,\n):\n    """First.\n\n    More."""\n',
        encoding="utf-8",
    )
    with name_folders([tmp_path / "conf"]):
        found = {name: read_docstring(f"strange.{name}").text for name in ("Bare", "single", "Own", "late")}
    assert found == {"Bare": "", "single": "Of one line.", "Own": "Raw \\d.", "late": "First.\n\nMore."}


def test_papers_are_found_in_sentences():
    text = "a (van den Oord et al. 2017), b (RAE, Ghosh et al.\n2020, equation 8), c (De Cao and Aziz 2020); Ng 2011."
    assert find_papers(text) == ["van den Oord et al. 2017", "Ghosh et al. 2020, equation 8", "De Cao and Aziz 2020",
                           "Ng 2011"]  # fmt: skip
    assert find_papers("Kingma et al. 2014. Again Kingma et al. 2014, equations 6 to 9.") == [
        "Kingma et al. 2014, equations 6 to 9"
    ]
    assert find_papers("of 1,797 digits in 2014") == []


def test_a_sentence_ends_where_it_ends():
    assert first_sentence("One (Kim et al. 2018), of\ntwo. Three.") == "One (Kim et al. 2018), of two."
    assert first_sentence("No end") == "No end"


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("mig", "but experiment=lecture_beta, metric=disentanglement speak of it"),
        ("probee", "did you mean probe"),
        ("qqq", "lists all of them"),
    ],
)
def test_a_name_that_is_no_option_is_told_where_it_is_spoken_of(name, way, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name])
    assert stop.value.code == 2 and f"{name}: there is no such option" in (said := capsys.readouterr().err)
    assert way in said and said.count("\n") == 1
